// The page "mistakes": what a run's model predicts incorrectly, cell by cell, image by image, and why.

import { ask, get } from "/static/api.js";
import { Choice, EmptyState, Load, Notice, Select, Tabs } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { link, roomLink, set } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { Classes } from "./classes.js";
import { Compare } from "./compare.js";
import { Images } from "./images.js";
import { BackToCell, keepCell } from "./last_cell.js";
import { Matrix } from "./matrix.js";
import { Predicting } from "./predicting.js";
import { NO_SELECTION } from "./selection.js";
import { Slices } from "./slices.js";
import { Why } from "./why.js";

const VIEWS = ["matrix", "errors", "classes", "slices", "compare"];

export default function Page({ state }) {
  return html`<div class="page wide mistakes"><h1>${t("pageMistakes")}</h1>
    <${Load} of="runs" from=${finishedRuns}>${(runs) => {
      const run = runOf(state.run, runs);
      return run ? html`<${Run} key=${run} state=${{ ...state, run }} runs=${runs} />` : html`<${NoRun} />`;
    }}<//></div>`;
}

/** The finished runs of the folder, newest first. */
async function finishedRuns() {
  const { runs } = await get("/api/contents");
  return runs.filter((run) => run.status === "finished" && run.model);
}

/** The run that the address names by its path, or by its folder's name as a report does; by default the newest. */
function runOf(named, runs) {
  if (!named || runs.some((run) => run.path === named)) return named || runs[0]?.path;
  return runs.find((run) => run.name === named)?.path ?? named;
}

function NoRun() {
  return html`<${EmptyState} title=${t("mistakes.noRun")}><p>${t("mistakes.noRunText")}</p><p><a class="main" href=${roomLink("training")}>${t("pageTraining")}</a></p><//>`;
}

class Run extends Component {
  /** Another part, target or run keeps the cell: that is how one comes back to it after a training. */
  request() {
    const { run, part, target } = this.props.state;
    return { run, part, target: target || null };
  }

  render({ state, runs }) {
    const request = this.request();
    return html`<${Load} of=${request} words=${t("mistakes.reading")} from=${() => ask("/api/mistakes/summary", request)}>${(summary, reload) => html`
      <${Head} summary=${summary} state=${state} runs=${runs} />
      ${summary.found
        ? html`<${Found} summary=${summary} state=${state} request=${request} runs=${runs} />`
        : html`<${Predicting} run=${summary.run} parts=${[state.part]} ondone=${reload} />`}`}<//>`;
  }
}

function Head({ summary, state, runs }) {
  const { found } = summary, known = runs.some((run) => run.path === summary.run);
  const choices = [...(known ? [] : [[summary.run, summary.run]]), ...runs.map((run) => [run.path, nameOf(run)])];
  const parts = summary.parts.map(({ name, n }) => [name, `${t(`mistakes.part.${name}`)} (${count(n)})`]);
  return html`<div class="toolbar">
      <${Select} label=${t("mistakes.run")} choices=${choices} value=${summary.run} onchange=${(run) => set({ run, model: `${run}/model.muslin` }, true)} />
      <${Choice} legend=${t("mistakes.part")} name="part" choices=${parts} value=${state.part} onchange=${(part) => set({ part, why: "" }, true)} />
      ${found?.targets.length > 1 && html`<${Select} label=${t("target")} choices=${found.targets.map(({ name }) => [name, name])} value=${found.target} onchange=${(target) => set({ ...NO_SELECTION, target }, true)} />`}
    </div>${found && html`<${Headline} found=${found} />`}`;
}

const nameOf = (run) => (run.test?.accuracy ? `${run.name} (${percent(run.test.accuracy)})` : run.name);

function Headline({ found }) {
  const { accuracy, interval, n, correct } = found.accuracy;
  if (accuracy === null) return html`<${Notice} kind="warning"><p>${t("mistakes.noLabels")}</p><//>`;
  const isMultilabel = found.targets.find(({ name }) => name === found.target).kind === "multilabel";
  const differs = found.reported_accuracy !== null && Math.abs(found.reported_accuracy - accuracy) > 1e-9;
  return html`<p class="lead">${t(`mistakes.headline.${found.part}`, { percent: percent(accuracy), low: percent(interval[0]), high: percent(interval[1]), n: count(n), correct: count(correct) })}${isMultilabel && ` ${t("mistakes.allLabels")}`}</p>
    ${differs && html`<${Notice} kind="warning"><p>${t("mistakes.differs", { reported: percent(found.reported_accuracy), percent: percent(accuracy) })}</p><//>`}`;
}

function Found({ summary, state, request, runs }) {
  const target = summary.found.targets.find(({ name }) => name === summary.found.target);
  const views = VIEWS.filter((name) => name !== "matrix" || target.kind === "multiclass");
  const view = views.includes(state.mistakes) ? state.mistakes : views[0];
  const parts = { found: summary.found, target, state, request, runs };
  const tabs = views.map((name) => [name, t(`mistakes.view.${name}`), link({ ...NO_SELECTION, mistakes: name })]);
  keepCell(state);
  const isPicked = state.label || state.predicted || state.outcome || state.change || state.slice || view === "errors";
  return html`<${Tabs} label=${t("mistakes.views")} tabs=${tabs} current=${view} />
    <div class=${`mistakesbody view-${view}`}>
      <section class="mistakesview">
        ${view === "matrix" && html`<${Matrix} ...${parts} /><${BackToCell} ...${parts} />`}
        ${view === "classes" && html`<${Classes} ...${parts} />`}
        ${view === "slices" && html`<${Slices} ...${parts} />`}
        ${view === "compare" && html`<${Compare} ...${parts} />`}
        ${view === "errors" && html`<h2>${t("mistakes.view.errors")}</h2><p class="lead">${t("mistakes.errorsLead")}</p>`}
      </section>
      ${isPicked && html`<${Images} ...${parts} view=${view} />`}
    </div>
    ${state.why && html`<${Why} ...${parts} summary=${summary} />`}`;
}

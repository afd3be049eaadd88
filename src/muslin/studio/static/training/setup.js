// What a person chooses before a training: data, target and recipe, with the time and the accuracy of each.

import { ask, askOnLeaving, get } from "/static/api.js";
import { Button, DataList, EmptyState, ErrorNotice, JobStatus, Load, Notice, Select, Table } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { startJob } from "/static/jobs.js";
import { accuracyOf } from "/static/home/rows.js";
import { roomLink, set } from "/static/state.js";
import { count, percent, sentences, t, tOr } from "/static/texts.js";
import { duration } from "./duration.js";

const LEAVING = ["beforeunload", "pagehide"]; // the second is not sent by every browser in time, the first not by phones

export const Setup = ({ state }) => html`<p class="lead">${t("training.lead")}</p>
  <${Load} from=${() => Promise.all([get("/api/contents"), get("/api/jobs")])}>${([contents, { jobs }]) => html`
    <${Running} jobs=${jobs} />
    <${Form} key=${state.data} state=${state} contents=${contents} />
    <${Runs} runs=${contents.runs} />`}<//>`;

/** The trainings that run now, in whichever window they were started. */
function Running({ jobs }) {
  const running = jobs.filter((job) => job.is_running && job.detail.run);
  return running.length > 0 && html`<section aria-labelledby="now"><h2 id="now">${t("training.now")}</h2>
    <ul>${running.map((job) => html`<li key=${job.id}><a href=${roomLink("training", { run: job.detail.run })}>${job.detail.run}</a> ${percent(job.progress || 0, 0)}</li>`)}</ul></section>`;
}

function Runs({ runs }) {
  return runs.length > 0 && html`<section aria-labelledby="runs"><h2 id="runs">${t("training.runs")}</h2>
    <ul>${runs.map((run) => html`<li key=${run.path}><a href=${roomLink("training", { run: run.path })}>${run.path}</a> <span class="soft">${[run.data, run.recipe, accuracyOf(run.test)].filter(Boolean).join(" · ")}</span></li>`)}</ul></section>`;
}

/** The data sets that a page can name: those of the folder, and registered ones that are on this computer. */
export const dataChoices = (contents) => [
  ...contents.data.map((row) => [row.path, row.name === row.path ? row.path : `${row.name} (${row.path})`]),
  ...contents.offers.filter((offer) => offer.is_at_hand).map((offer) => [offer.data, offer.data]),
];

/** End the trials of the recipes, which would slow what else runs. */
async function stopTrials(job) {
  if (job) await ask("/api/jobs/stop", { id: job.id });
}

class Form extends Component {
  constructor(props) {
    super(props);
    this.state = { recipe: "auto", target: "", job: null, offers: null, error: null };
  }

  componentDidMount() {
    for (const event of LEAVING) addEventListener(event, this.leave);
    addEventListener("pageshow", this.comeBack);
    if (this.props.state.data) this.look();
  }

  componentWillUnmount() {
    this.isGone = true;
    for (const event of LEAVING) removeEventListener(event, this.leave);
    removeEventListener("pageshow", this.comeBack);
    stopTrials(this.state.job).catch(() => {}); // without a connection they end on their own
  }

  /** The tab is closed, or another page opened in it. */
  leave = () => {
    if (this.state.job) askOnLeaving("/api/jobs/stop", { id: this.state.job.id });
  };

  /** The browser shows the page as it was left. */
  comeBack = (event) => {
    if (event.persisted && this.state.job) this.look();
  };

  params() {
    const { recipe, target } = this.state;
    return { data: this.props.state.data, recipe, read_options: target ? { target } : {} };
  }

  /** Read the data, and measure the recipes. */
  look = async () => {
    try {
      const job = await startJob("offer", this.params());
      if (this.isGone) await stopTrials(job);
      else this.setState({ job, error: null });
    } catch (error) { this.setState({ error }); }
  };

  /** `offer`: the chosen recipe. What it changes for few images is set. */
  start = async (offer) => {
    const { job } = this.state, { recipe, settings } = offer;
    try {
      await stopTrials(job);
      this.setState({ job: null, started: await startJob("train", { ...this.params(), recipe, settings }), error: null });
    } catch (error) { this.setState({ error }); }
  };

  render({ state, contents }, { recipe, target, job, started, error }) {
    const choices = dataChoices(contents);
    if (!choices.length) return html`<${EmptyState} title=${t("training.noData")}><p>${t("training.noDataText")}</p><p><a class="main" href=${roomLink("home")}>${t("training.toHome")}</a></p><//>`;
    if (started) return html`<${Starting} job=${started} back=${() => this.setState({ started: null })} />`;
    return html`<section aria-labelledby="new"><h2 id="new">${t("training.new")}</h2>
      ${!contents.is_writable && html`<${Notice} kind="warning"><p>${t("training.readOnly")}</p><//>`}
      ${state.data ? html`<div class="toolbar">
        <${Select} label=${t("training.data")} value=${state.data} choices=${choices.some(([name]) => name === state.data) ? choices : [[state.data, state.data], ...choices]} onchange=${(data) => set({ data }, true)} />
      </div>` : html`<${ChooseData} contents=${contents} />`}
      <${ErrorNotice} error=${error} retry=${this.look} />
      ${job && html`<${JobStatus} id=${job.id} hideStop hideDone>${(now) => html`<${Offers} found=${now.result || now.detail.offers} isBusy=${now.is_running} data=${state.data} recipe=${recipe} target=${target}
        choose=${(name) => this.setState({ recipe: name })} choosetarget=${(name) => this.setState({ target: name })} start=${this.start} isWritable=${contents.is_writable} />`}<//>`}
    </section>`;
  }
}

/** Where no data are chosen yet: what to choose from, and what comes then. */
const ChooseData = ({ contents }) => html`<p>${t("training.chooseData")}</p>
  <${DataList} contents=${contents} linkOf=${(data) => roomLink("training", { data, run: "" })} recommends=${!contents.data.length} />
  <p class="soft">${t("training.thenRecipes")}</p>
  <p><a href=${roomLink("home")}>${t("data.moreData")}</a></p>`;

/** From the start of the job until its run is there. */
const Starting = ({ job, back }) => html`<section><h2>${t("training.starting")}</h2><p>${t("training.startingText")}</p>
  <${JobStatus} id=${job.id} ondone=${() => {}}>${(now) => {
    if (now.detail.run) queueMicrotask(() => set({ run: now.detail.run }, true));
    return now.error && html`<p><${Button} onclick=${back}>${t("training.back")}<//></p>`;
  }}<//></section>`;

function Offers({ found, isBusy, data, recipe, target, choose, choosetarget, start, isWritable }) {
  if (!found) return html`<p class="soft">${t("training.reading")}</p>`;
  const targets = Object.keys(found.targets), chosen = recipe === "auto" ? found.chosen : recipe;
  const measuredOn = (row) => row.benchmark && row.benchmark.data === data && row.benchmark; // an accuracy holds there alone
  const isBenchmark = found.offers.some(measuredOn), offer = found.offers.find((one) => one.recipe === chosen && !one.problem);
  const columns = [
    { name: "recipe", words: t("training.recipe"), cell: (row) => html`<label class="switch"><input type="radio" name="recipe" value=${row.recipe} checked=${row.recipe === chosen} onchange=${() => choose(row.recipe)} /><span class="recipename"><span>${row.recipe}${row.recipe === found.chosen && ` · ${t("training.suggested")}`}</span><small>${tOr(`training.recipe.${row.recipe}`, row.network)}</small></span></label>` },
    { name: "time", words: t("training.time"), isNumber: true, cell: (row) => (row.problem ? row.problem.message : row.expected_s === null ? (isBusy ? "…" : "–") : duration(row.expected_s)) },
    isBenchmark && { name: "accuracy", words: t("training.accuracyHere"), isNumber: true, cell: (row) => (measuredOn(row) ? percent(row.benchmark.accuracy) : t("training.notMeasured")) },
  ].filter(Boolean);
  return html`<p>${sentences(t("training.found", { train: count(found.counts.train), validation: count(found.counts.validation), test: count(found.counts.test) }), t("training.suggests", { recipe: found.chosen }))}</p>
    ${targets.length > 1 && html`<div class="toolbar"><${Select} label=${t("training.target")} value=${target} choices=${[["", t("training.allTargets")], ...targets.map((name) => [name, name])]} onchange=${choosetarget} /></div>`}
    <${Table} caption=${t("training.offers")} columns=${columns} rows=${found.offers} rowKey=${(row) => row.recipe} />
    <p class="soft">${t(isBenchmark ? "training.timesNote" : "training.accuracyNote")}</p>
    <p class="buttons"><${Button} kind="main" disabled=${!isWritable || !offer} onclick=${() => start(offer)}>${t("training.start", { recipe: chosen })}<//></p>
    <p class="soft">${t("training.goesOn")}</p>`;
}

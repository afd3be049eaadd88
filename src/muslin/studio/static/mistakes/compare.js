// Two runs on the same images: which is better, could it be chance, and on which images they differ.

import { ask } from "/static/api.js";
import { Load, Select, Table } from "/static/components/index.js";
import { html } from "/static/html.js";
import { link, set } from "/static/state.js";
import { count, number, percent, t } from "/static/texts.js";
import { Rate } from "./classes.js";
import { Predicting } from "./predicting.js";
import { NO_SELECTION } from "./selection.js";
import { points } from "./slices.js";

const CHANGES = [["fixed", "images_only_b_correct"], ["broken", "images_only_a_correct"], ["neither", "images_neither_correct"]];

export function Compare({ state, request, runs }) {
  const data = runs.find((run) => run.path === request.run)?.data;
  const others = runs.filter((run) => run.path !== request.run && (run.data === data || run.path === state.other)), other = state.other || others[0]?.path;
  if (!other) return html`<h2>${t("mistakes.view.compare")}</h2><p>${t("mistakes.noOther")}</p>`;
  const wanted = { ...request, other };
  return html`<h2>${t("mistakes.view.compare")}</h2><p class="lead">${t("mistakes.compareLead")}</p>
    <div class="toolbar"><${Select} label=${t("mistakes.other")} choices=${others.map((run) => [run.path, run.name])} value=${other} onchange=${(run) => set({ ...NO_SELECTION, other: run }, true)} /></div>
    <${Load} of=${wanted} from=${() => ask("/api/mistakes/compare", wanted)}>${({ comparison }, reload) => (comparison
      ? html`<${Comparison} made=${comparison} a=${request.run} b=${other} />`
      : html`<${Predicting} run=${other} parts=${[request.part]} ondone=${reload} />`)}<//>`;
}

const short = (path) => path.split("/").pop();

function Comparison({ made, a, b }) {
  const { overall } = made, chance = overall.p_value >= 0.05;
  const sides = [[a, made.accuracy_a, made.accuracy_a_interval], [b, made.accuracy_b, made.accuracy_b_interval]];
  return html`<dl class="sum compared">${sides.map(([run, accuracy, interval]) => html`<dt>${short(run)}</dt><dd class="number"><${Rate} value=${accuracy} interval=${interval} /></dd>`)}
      <dt>${t("mistakes.difference")}</dt><dd class="number strong">${points(overall.difference)} <small class="soft">${points(overall.interval[0])} ${t("mistakes.to")} ${points(overall.interval[1])}</small></dd></dl>
    <p>${t(chance ? "mistakes.chance" : overall.difference > 0 ? "mistakes.better" : "mistakes.worse", { a: short(a), b: short(b), n: count(overall.n), p: number(overall.p_value, 2) })}</p>
    <ul class="changes">${CHANGES.map(([change, name]) => html`<li><a href=${link({ ...NO_SELECTION, other: b, change })}>${t(`mistakes.change.${change}`)}</a> <span class="number">${count(made[name])}</span></li>`)}</ul>
    <${Table} caption=${t("mistakes.comparedClasses")} rows=${made.per_class} rowKey=${(row) => row.name} columns=${[
      { name: "name", words: t("class") },
      { name: "n", words: t("mistakes.support"), isNumber: true, cell: ({ paired }) => count(paired.n) },
      { name: "a", words: short(a), isNumber: true, cell: ({ paired }) => percent((paired.both_correct + paired.only_a_correct) / paired.n) },
      { name: "b", words: short(b), isNumber: true, cell: ({ paired }) => percent((paired.both_correct + paired.only_b_correct) / paired.n) },
      { name: "difference", words: t("mistakes.difference"), isNumber: true, cell: ({ paired }) => html`${points(paired.difference)} <small class="soft">${points(paired.interval[0])} ${t("mistakes.to")} ${points(paired.interval[1])}</small>` },
      { name: "better", words: t("mistakes.significant"), cell: (row) => (row.better_model ? short(row.better_model === "a" ? a : b) : "") },
    ]} />`;
}

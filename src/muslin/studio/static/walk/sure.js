// Step 6: how sure one may be: of the accuracy, and of one prediction.

import { Field, Table } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { Task } from "./parts.js";

const ASKED = 0.9; // the probability that the learner is asked about

export function Sure({ walk, answers }) {
  if (!walk.examples) return html`<p class="note">${t("walk.noLabels")} ${walk.reason?.message}</p>`;
  const { thresholds, part, n } = walk.examples, all = thresholds[0];
  const guess = answers.get("guess");
  return html`<p>${t("walk.sure.accuracy", { n: count(n), part: t(`walk.part.${part}`), accuracy: share(all), low: percent(all.interval[0]), high: percent(all.interval[1]) })}</p>
    <${Task} text=${t("walk.sure.task")} done=${Boolean(answers.get("rows"))}>
      <${Field} type="number" min="0" max="100" label=${t("walk.sure.guess")} value=${guess ?? ""} onchange=${(value) => Number.isFinite(value) && answered(walk, answers, value)} />
      ${guess !== undefined && html`<${Threshold} thresholds=${thresholds} guess=${guess} />`}
    <//>`;
}

const share = (row) => (row.n ? percent(row.correct / row.n) : "–");
const rowAt = (thresholds, value) => thresholds.find((row) => row.threshold === value) || thresholds[0];

function answered(walk, answers, guess) {
  const { thresholds, part, n } = walk.examples, row = rowAt(thresholds, ASKED), all = thresholds[0];
  answers.record([["walk.sure.sheet", { accuracy: share(all), low: percent(all.interval[0]), high: percent(all.interval[1]), n: count(n), part: t(`walk.part.${part}`) }],
    ["walk.sure.sheetGuess", { guess, asked: percent(ASKED, 0), accuracy: share(row), n: count(row.n) }]], [], { guess });
}

function Threshold({ thresholds, guess }) {
  const asked = rowAt(thresholds, ASKED), chosen = rowAt(thresholds, state.walk.threshold ?? ASKED), total = thresholds[0].n;
  const place = thresholds.indexOf(chosen);
  const columns = [
    { name: "threshold", words: t("walk.sure.threshold"), cell: (row) => percent(row.threshold, 0) },
    { name: "n", words: t("walk.sure.accepted"), isNumber: true, cell: (row) => percent(row.n / total) },
    { name: "correct", words: t("walk.sure.correct"), isNumber: true, cell: share },
    { name: "interval", words: t("walk.sure.interval"), isNumber: true, cell: (row) => `${percent(row.interval[0])} – ${percent(row.interval[1])}` },
  ];
  return html`<p role="status">${t("walk.sure.result", { guess, correct: share(asked), n: count(asked.n), low: percent(asked.interval[0]), high: percent(asked.interval[1]) })}</p>
    <label class="slider"><span>${t("walk.sure.threshold")}</span><input type="range" min="0" max=${thresholds.length - 1} value=${place} aria-valuetext=${percent(chosen.threshold, 0)} oninput=${(event) => set({ walk: { ...state.walk, threshold: thresholds[event.target.valueAsNumber].threshold } })} /><output>${percent(chosen.threshold, 0)}</output></label>
    <p>${t("walk.sure.chosen", { threshold: percent(chosen.threshold, 0), accepted: percent(chosen.n / total), review: percent(1 - chosen.n / total), correct: share(chosen) })}</p>
    <details class="valuetable"><summary>${t("values")}</summary><${Table} caption=${t("walk.sure.table")} columns=${columns} rows=${thresholds} rowKey=${(row) => row.threshold} /></details>`;
}

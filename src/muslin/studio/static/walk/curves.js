// Step 4: what loss and learning curves say, and when to stop.

import { Button, LineChart } from "/static/components/index.js";
import { html } from "/static/html.js";
import { roomLink, set, state } from "/static/state.js";
import { number, percent, t } from "/static/texts.js";
import { Task } from "./parts.js";

const FEW_EPOCHS = 4; // fewer make no curve to stop on

export function Curves({ walk, answers }) {
  return html`<${Loss} />${walk.training?.epochs.length ? html`<${Stop} epochs=${walk.training.epochs} answers=${answers} />` : html`<p class="note">${t("walk.curves.none")}</p>`}`;
}

/** The loss of one image by the probability of its label. */
function Loss() {
  const p = state.walk.p ?? 0.8;
  return html`<div class="panel"><label class="slider"><span>${t("walk.curves.probability")}</span>
    <input type="range" min="0.01" max="1" step="0.01" value=${p} oninput=${(event) => set({ walk: { ...state.walk, p: event.target.valueAsNumber } })} /><output>${percent(p, 0)}</output></label>
    <p role="status">${t("walk.curves.loss", { p: percent(p, 0), loss: number(Math.abs(Math.log(p)), 3) })}</p></div>`;
}

const finite = (rows, name) => rows.filter((row) => Number.isFinite(row[name]));

/** The epoch with the lowest validation loss, and the last one. */
function bestEpoch(epochs) {
  const known = finite(epochs, "validation_loss");
  return known.length ? known.reduce((best, row) => (row.validation_loss < best.validation_loss ? row : best)) : null;
}

function Stop({ epochs, answers }) {
  const best = bestEpoch(epochs), last = epochs.at(-1), stopped = answers.get("epoch");
  const chosen = epochs.find((row) => row.epoch === (state.walk.epoch ?? stopped)) || last;
  const lines = ["train_loss", "validation_loss"].filter((name) => finite(epochs, name).length).map((name) => ({ words: t(`walk.curves.${name}`), values: epochs.map((row) => row[name]) }));
  const stop = () => answers.record([["walk.curves.sheet", { epoch: chosen.epoch, loss: number(chosen.validation_loss, 3), best: best.epoch, bestLoss: number(best.validation_loss, 3), last: last.epoch }]], [], { epoch: chosen.epoch });
  const marks = [{ at: chosen.epoch, words: t("walk.curves.chosen", { epoch: chosen.epoch }) }];
  return html`<${LineChart} title=${t("walk.curves.chart")} x=${epochs.map((row) => row.epoch)} xWords=${t("walk.curves.epoch")} lines=${lines} marks=${marks} />
    <${Task} text=${t("walk.curves.task")} done=${Boolean(stopped)}>
      ${best && html`<label class="slider"><span>${t("walk.curves.epoch")}</span><input type="range" min=${epochs[0].epoch} max=${last.epoch} value=${chosen.epoch} oninput=${(event) => set({ walk: { ...state.walk, epoch: event.target.valueAsNumber } })} /><output>${chosen.epoch}</output></label>
      <p><${Button} onclick=${stop}>${t("walk.curves.stopHere", { epoch: chosen.epoch })}<//></p>`}
      ${stopped && html`<p role="status">${verdict(epochs, best, last, stopped)}</p>`}
      ${epochs.length < FEW_EPOCHS && html`<p class="note">${t("walk.curves.few", { n: epochs.length })} <a href=${roomLink("training")}>${t("pageTraining")}</a></p>`}
    <//>`;
}

/** Where the validation loss was lowest, and what follows from it. */
function verdict(epochs, best, last, stopped) {
  const found = t("walk.curves.best", { best: best.epoch, loss: number(best.validation_loss, 3), stopped });
  const isFalling = best.epoch === last.epoch;
  return `${found} ${t(isFalling ? "walk.curves.falling" : "walk.curves.rising", { last: last.epoch, loss: number(last.validation_loss, 3) })}`;
}

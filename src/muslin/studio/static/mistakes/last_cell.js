// The cell that was open last, so that one comes back to it after a training, also from another page.

import { html } from "/static/html.js";
import { link } from "/static/state.js";
import { t } from "/static/texts.js";

const NAME = "muslin-mistakes-cell";

/** Keep the cell that the address names. */
export function keepCell({ label, predicted, part, target, why }) {
  if (!label || !predicted) return;
  try { sessionStorage.setItem(NAME, JSON.stringify({ label, predicted, part, target, why })); } catch { /* it works without */ }
}

function keptCell() {
  try { return JSON.parse(sessionStorage.getItem(NAME)); } catch { return null; }
}

/** The link back to it, where nothing is open and the run has both classes. */
export function BackToCell({ state, target }) {
  const cell = state.label || state.predicted ? null : keptCell();
  if (!cell || ![cell.label, cell.predicted].every((name) => target.classes.includes(name))) return null;
  return html`<p><a href=${link({ ...cell, mistakes: "matrix" })}>${t("mistakes.backToCell", { label: cell.label, predicted: cell.predicted })}</a></p>`;
}

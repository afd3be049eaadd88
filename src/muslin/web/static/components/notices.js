// What the page says about itself: notes, errors, progress, and what stands where nothing is.

import { classes, html } from "../html.js";
import { percent, t } from "../texts.js";

/** A note beside the work. `kind`: "" or "warning". */
export function Notice({ kind, children }) {
  return html`<div class=${classes("notice", kind)} role="status">${children}</div>`;
}

/** An error that a request gave, or its text, and a button that tries again where there is `retry`. */
export function ErrorNotice({ error, retry }) {
  if (!error) return null;
  return html`<div class="notice fault" role="alert"><p class="error">${error.message || String(error)}</p>
    ${retry && html`<button type="button" onclick=${retry}>${t("tryAgain")}</button>`}</div>`;
}

/** What stands where there is nothing yet: a title, a sentence, and what to do. */
export function EmptyState({ title, children }) {
  return html`<div class="empty">${title && html`<h2>${title}</h2>`}${children}</div>`;
}

/** How far something is. `value`: 0 to 1, or null where it is unknown. */
export function Progress({ label, value = null, words }) {
  const isKnown = value !== null && value !== undefined;
  return html`<span class="meter"><progress max="1" aria-label=${label} ...${isKnown ? { value } : {}}></progress>
    <span class="number">${words ?? (isKnown ? percent(value, 0) : "")}</span></span>`;
}

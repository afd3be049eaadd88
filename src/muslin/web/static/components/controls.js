// Buttons and fields. Each has a visible label; `onchange` is called with the value, not with the event.

import { html, classes } from "../html.js";

/** A button. `kind`: "main" (one on a page), "quiet", "link", or none. `hotkey` is printed on it. */
export function Button({ kind, hotkey, children, class: more, ...rest }) {
  return html`<button type="button" class=${classes(kind, more)} aria-keyshortcuts=${hotkey && spoken(hotkey)} ...${rest}>${children}${hotkey && html` <kbd aria-hidden="true">${hotkey}</kbd>`}</button>`;
}

const SPOKEN = { "⏎": "Enter", "␣": "Space", "⌫": "Backspace", "⌦": "Delete" };
const spoken = (key) => SPOKEN[key] || key;

/** A link that looks like a button: it goes to another page or state. */
export function ButtonLink({ kind = "button", children, ...rest }) {
  return html`<a class=${kind} ...${rest}>${children}</a>`;
}

/** A list to choose one of. `choices`: [[value, words], …]. */
export function Select({ label, choices, value, onchange, hideLabel = false, ...rest }) {
  return html`<label class="field"><span class=${hideLabel ? "visuallyhidden" : null}>${label}</span>
    <select onchange=${(event) => onchange(event.target.value)} ...${rest}>
      ${choices.map(([one, words]) => html`<option key=${one} value=${one} selected=${String(one) === String(value)}>${words}</option>`)}
    </select></label>`;
}

/** One of a few, all in sight, as radio buttons in a row. `choices`: [[value, words], …]. */
export function Choice({ legend, name, choices, value, onchange, hideLegend = false, disabled = false }) {
  return html`<fieldset class="choice" disabled=${disabled}>
    <legend class=${hideLegend ? "visuallyhidden" : null}>${legend}</legend>
    <span class="segments">${choices.map(([one, words]) => html`<label key=${one}>
      <input type="radio" name=${name} value=${one} checked=${one === value} onchange=${() => onchange(one)} /><span>${words}</span></label>`)}</span>
  </fieldset>`;
}

/** A field for text, a number or a date. With `live`, `onchange` is called at every key. */
export function Field({ label, value, onchange, type = "text", live = false, hideLabel = false, note, ...rest }) {
  const act = (event) => onchange(type === "number" ? event.target.valueAsNumber : event.target.value);
  return html`<label class="field"><span class=${hideLabel ? "visuallyhidden" : null}>${label}</span>
    <input type=${type} value=${value} ...${{ [live ? "oninput" : "onchange"]: act }} ...${rest} />${note && html`<small>${note}</small>`}</label>`;
}

/** On or off. */
export function Switch({ label, checked, onchange, ...rest }) {
  return html`<label class="switch"><input type="checkbox" checked=${checked} onchange=${(event) => onchange(event.target.checked)} ...${rest} /><span>${label}</span></label>`;
}

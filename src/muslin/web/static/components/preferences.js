// The language and the theme that a person has chosen, which the browser keeps.

import { html } from "../html.js";
import { LANGUAGES, language, t } from "../texts.js";

const THEMES = ["auto", "light", "dark"];

export function stored(name) {
  try { return localStorage.getItem(`muslin-${name}`); } catch { return null; }
}

function store(name, value) {
  try { localStorage.setItem(`muslin-${name}`, value); } catch { /* without storage the page works all the same */ }
}

/** Show the theme that was chosen; the system's without a choice. */
export function applyTheme() {
  const theme = stored("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** The two choices, for a page's header. `onlanguage(code)` is called after another language was chosen. */
export function Preferences({ onlanguage }) {
  const theme = stored("theme") || "auto";
  return html`<label class="pick"><span class="visuallyhidden">${t("language")}</span>
      <select onchange=${(event) => { store("language", event.target.value); onlanguage(event.target.value); }}>
        ${Object.entries(LANGUAGES).map(([code, name]) => html`<option key=${code} value=${code} selected=${code === language} lang=${code}>${name}</option>`)}</select></label>
    <label class="pick"><span class="visuallyhidden">${t("theme")}</span>
      <select onchange=${(event) => { store("theme", event.target.value); applyTheme(); }}>
        ${THEMES.map((name) => html`<option key=${name} value=${name} selected=${name === theme}>${t(`theme.${name}`)}</option>`)}</select></label>`;
}

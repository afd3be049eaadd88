// The frame of the server's page: header, language, theme. All addresses are relative, so that a path prefix is kept.

import { Preferences, applyTheme, stored } from "./components/preferences.js";
import { html, render } from "./html.js";
import { language, loadLanguage, t } from "./texts.js";
import { TryIt } from "./try_it.js";

const main = Object.assign(document.createElement("main"), { id: "main", tabIndex: -1 });
const header = Object.assign(document.createElement("header"), { className: "top" });
const footer = document.createElement("footer");

async function setLanguage(code) {
  await loadLanguage(code);
  draw();
}

function draw() {
  const skip = (event) => { event.preventDefault(); main.focus(); };
  render(html`<a class="skip" href="#main" onclick=${skip}>${t("skip")}</a>
    <span class="brand">muslin <span>serve</span></span><span class="grow"></span>
    <${Preferences} onlanguage=${setLanguage} />`, header);
  render(html`<${TryIt} language=${language} />`, main);
  render(html`${t("try.footer")}`, footer);
  document.title = `${t("try.title")} · muslin serve`;
}

applyTheme();
await loadLanguage(stored("language"));
document.body.append(header, main, footer);
draw();

// The lab sheet: one HTML file with the learner's images, numbers and words, which needs nothing else.

import { Button, Confirm, ErrorNotice, Field } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { download } from "/static/save.js";
import { set } from "/static/state.js";
import { language, percent, t } from "/static/texts.js";
import { allAnswers, forget, putWho } from "./answers.js";
import { thumbnail } from "./requests.js";

const SIDE = 112;
const STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222;background:#fff}h1,h2{line-height:1.2}h2{border-top:1px solid #bbb;padding-top:.7em}figure{display:inline-block;margin:0 12px 12px 0;width:150px;vertical-align:top;font-size:.85em}img{width:112px;height:112px;object-fit:contain;image-rendering:pixelated;border:1px solid #bbb}blockquote{border-left:3px solid #999;margin:0;padding-left:1em;white-space:pre-wrap}@media print{h2{break-after:avoid}figure{break-inside:avoid}}";

export class LabSheet extends Component {
  save = async () => {
    const { model, walk, names } = this.props;
    this.setState({ error: null });
    try { download(`${t("walk.sheet.file")}-${model.name}.html`, await sheetOf(model, walk, names), "text/html"); } catch (error) { this.setState({ error }); }
  };

  render({ model }, { error, isAsking }) {
    const { who = "" } = allAnswers(model.path);
    return html`<${Field} label=${t("walk.sheet.who")} value=${who} maxlength="80" autocomplete="off" onchange=${(words) => putWho(model.path, words)} />
      <${Button} onclick=${this.save}>${t("walk.sheet.save")}<//>
      <${Button} onclick=${() => this.setState({ isAsking: true })}>${t("walk.sheet.forget")}<//>
      ${isAsking && html`<${Confirm} title=${t("walk.sheet.forget")} words=${t("walk.sheet.forget")} close=${() => this.setState({ isAsking: false })} act=${() => { forget(model.path); set({ walk: {} }); }}><p>${t("walk.sheet.forgetText")}</p><//>`}
      <${ErrorNotice} error=${error} />`;
  }
}

const escaped = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** The whole file. Text never becomes HTML: all of it is escaped. */
async function sheetOf(model, walk, names) {
  const all = allAnswers(model.path), sections = [];
  for (const name of names) sections.push(await section(model, name, all[name]));
  const title = t("walk.sheet.title"), facts = [["walk.sheet.who", all.who || "–"], ["walk.sheet.model", model.name], ["walk.sheet.data", walk.training?.data || "–"], ["walk.sheet.accuracy", accuracyOf(walk)], ["walk.sheet.day", new Date().toLocaleDateString(language)]];
  return `<!doctype html><html lang="${document.documentElement.lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"><title>${escaped(title)}</title><style>${STYLE}</style></head><body><h1>${escaped(title)}</h1><p>${facts.map(([key, value]) => `${escaped(t(key))}: <b>${escaped(value)}</b>`).join("<br>")}</p>${sections.join("")}</body></html>`;
}

const accuracyOf = ({ examples }) => (examples ? `${percent(examples.thresholds[0].correct / examples.n)} (${t(`walk.part.${examples.part}`)}, ${examples.n})` : "–");

async function section(model, name, answers) {
  const head = `<h2>${escaped(t(`walk.${name}.title`))}</h2>`;
  if (!answers?.rows?.length && !answers?.words) return `${head}<p>${escaped(t("walk.sheet.notDone"))}</p>`;
  const rows = (answers.rows || []).map(([key, values]) => `<li>${escaped(t(key, values))}</li>`).join("");
  const figures = await Promise.all((answers.images || []).map(([image, key, values]) => figure(model, image, t(key, values))));
  const words = answers.words ? `<p>${escaped(t(`walk.${name}.question`))}</p><blockquote>${escaped(answers.words)}</blockquote>` : "";
  return `${head}<ul>${rows}</ul>${figures.join("")}${words}`;
}

/** One image with its line; a photo that the studio has forgotten leaves the line. */
async function figure(model, image, words) {
  const response = await fetch(thumbnail(model.path, image, SIDE));
  const picture = response.ok ? `<img alt="" src="${await dataUrl(await response.blob())}">` : "";
  return `<figure>${picture}<figcaption>${escaped(words)}</figcaption></figure>`;
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

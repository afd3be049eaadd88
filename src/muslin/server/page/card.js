// One image, or the photos of one product, with what is predicted for it.

import { Button } from "./components/controls.js";
import { ErrorNotice } from "./components/notices.js";
import { html } from "./html.js";
import { listed, messageText, number, percent, sentences, t, tn } from "./texts.js";

const SHOWN = 4; // classes with bars, and photos of a product

/** What a screen reader says of a card that has just been predicted. */
export function spokenPrediction({ files, found, error }) {
  if (error) return `${files[0].file.name}: ${error.message}`;
  const words = Object.values(found.result.predictions).map((one) => `${labelOf(one)} ${percent(one.probability)}, ${t(`try.decision.${keyOf(one)}`)}`);
  return `${files[0].file.name}: ${words.join("; ") || messageText(found.result.error)}`;
}

const labelOf = (found) => (found.labels ? listed(found.labels) || t("try.noLabel") : found.label);
const keyOf = (found) => found.decision.replaceAll(" ", "_");

export function Card({ card, retry, remove }) {
  const { files, state, found, error } = card;
  const name = card.together ? tn("try.product", files.length) : files[0].file.name;
  return html`<li class="card" aria-busy=${state === "running"}>
    <div class="photos">${files.slice(0, SHOWN).map((one) => html`<img key=${one.url} src=${one.url} alt="" loading="lazy" onerror=${hide} />`)}</div>
    <div class="words"><h3 title=${name}>${name}</h3>
      ${state === "failed" && html`<${ErrorNotice} error=${error} retry=${mayPass(error) ? retry : null} />`}
      ${state !== "failed" && !found && html`<p class="soft">${t(`try.state.${state}`)}</p>`}
      ${state !== "failed" && found && html`<${Found} ...${found} />`}</div>
    <button type="button" class="quiet cross" aria-label=${`${t("try.remove")}: ${name}`} onclick=${remove}>×</button></li>`;
}

/** Whether the same request can succeed later: the server was full, has stopped or does not respond. */
const mayPass = ({ status }) => !(status >= 400 && status < 500 && status !== 408 && status !== 429);

/** A browser cannot show every format that a model reads. */
const hide = (event) => { event.target.hidden = true; };

function Found({ result, model, digest, ms }) {
  const targets = Object.entries(result.predictions);
  return html`${result.error && html`<p class="error">${messageText(result.error)}</p>`}
    ${targets.map(([name, found]) => html`<${Target} key=${name} name=${targets.length > 1 ? name : ""} found=${found} />`)}
    ${[...(result.reasons ?? []), ...(result.notes ?? [])].map((note) => html`<p class="soft small">${messageText(note)}</p>`)}
    <p class="soft small number">${t("try.took", { ms: number(ms, ms < 100 ? 2 : 3) })} · ${model} <code class="digest" title=${digest}>${digest.slice(0, 12)}</code></p>`;
}

/** The label, its probability, the decision and why, and the most probable classes. */
function Target({ name, found }) {
  const others = found.prediction_set.filter((one) => one !== found.label);
  const key = keyOf(found);
  const ranked = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]);
  return html`${name && html`<h4>${name}</h4>`}
    <p class="verdict"><strong>${labelOf(found)}</strong> <span class="number">${percent(found.probability)}</span> <span class=${`decision ${key}`}>${t(`try.decision.${key}`)}</span></p>
    <p class="soft">${sentences(t(`try.why.${key}`), key === "review" && others.length > 0 && t("try.shortlist", { classes: listed(others) }))}</p>
    <${Bars} ranked=${ranked.slice(0, SHOWN)} />
    ${ranked.length > SHOWN && html`<details><summary>${tn("try.others", ranked.length - SHOWN)}</summary><${Bars} ranked=${ranked.slice(SHOWN)} /></details>`}`;
}

const Bars = ({ ranked }) => html`<ul class="probabilities">${ranked.map(([name, p]) => html`<li key=${name}>
  <span class="name">${name}</span><span class="bar" aria-hidden="true"><i style=${{ width: `${100 * p}%` }}></i></span><span class="number">${percent(p)}</span></li>`)}</ul>`;

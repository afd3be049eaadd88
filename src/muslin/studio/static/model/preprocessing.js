// The preprocessing, step by step, from the file to the tensor. Optional steps have a switch with its effect.

import { askOnce } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { DataImage, Legend, Load, Switch } from "/static/components/index.js";
import { classes, html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { messageText, signed, t } from "/static/texts.js";

const MIN_CHANGE = 0.0005, EFFECTS_SHOWN = 3;

export function Preprocessing({ model, named }) {
  return html`<h2>${t("tab.preprocessing")}</h2><p class="lead">${t("preprocessingLead")}</p>
    <${Load} of=${named} from=${() => askOnce("/api/predict", { inspection: named })}>${(result) => html`
      <ol class="strip">${result.steps.map((step, n) => html`<${Step} key=${step.name} step=${step} n=${n + 1} model=${model} named=${named} />`)}</ol>
      ${result.notes.length > 0 && html`<ul class="soft">${result.notes.map((note) => html`<li>${messageText(note)}</li>`)}</ul>`}`}<//>`;
}

function Step({ step, n, model, named }) {
  const title = messageText(step.title), { image } = step;
  return html`<li class=${classes("step", !step.on && "off")}>
    <p class="stepnumber soft">${n}</p><h3>${title}</h3>
    ${image ? html`<${DataImage} data=${image.png} alt=${t("imageAfter", { step: title })} isSmall=${Math.max(image.width, image.height) <= 64} />
      <p class="soft number">${image.width} × ${image.height}</p>` : html`<div class="noimage"><span class="soft">${t("asFloats")}</span></div>`}
    ${step.range && html`<${Legend} scale=${scaleOf(...step.range, true)} unit=${t("model.unit.scaled")} />`}
    <p class="text">${messageText(step.text)}</p>
    ${step.optional && html`<${Switch} label=${t(step.on ? "on" : "off")} checked=${step.on} role="switch" data-step=${step.name} onchange=${(on) => flip(step.name, on)} />
      <div class="effect"><${Load} of=${named} from=${() => askOnce("/api/effects", { inspection: named })}>${(effects) => html`<${Effect} found=${effects[step.name]} on=${step.on} model=${model} />`}<//></div>`}
  </li>`;
}

function flip(name, on) {
  const steps = { ...state.steps };
  if (name in steps) delete steps[name];
  else steps[name] = on;
  set({ steps });
}

/** What the other position of a switch would change of the prediction. */
function Effect({ found, on, model }) {
  if (!found) return null;
  const rows = Object.entries(found).flatMap(([target, changes]) => Object.entries(changes)
    .filter(([, change]) => Math.abs(change) >= MIN_CHANGE).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, EFFECTS_SHOWN)
    .map(([name, change]) => [(model.targets.length > 1 ? `${target}: ` : "") + name, change]));
  return html`<p class="soft">${t(on ? "effectOff" : "effectOn")}</p>
    ${rows.length ? html`<ul>${rows.map(([name, change]) => html`<li><span>${name}</span> <span class="number">${signed(100 * change, 3)} ${t("points")}</span></li>`)}</ul>` : html`<p>${t("effectNone")}</p>`}`;
}

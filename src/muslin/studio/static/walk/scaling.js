// Step 2: the network computes with small numbers. Without the scaling it gets others, and predicts something else.

import { Choice, Load, Switch } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { number, percent, t } from "/static/texts.js";
import { Bars, Task, WalkImage } from "./parts.js";
import { firstImages, labelOf } from "./pixels.js";
import { predict } from "./requests.js";

const rangeOf = (found) => found.steps.find((step) => step.name === "normalised");

export function Scaling({ model, walk, answers }) {
  const image = firstImages(model, walk)[0], named = { model: model.path, image };
  return html`<${Load} from=${() => predict(named)} of=${image}>${(scaled) => {
    if (!rangeOf(scaled)?.optional) return html`<p class="note">${t("walk.scaling.none")}</p>`;
    return html`<${Load} from=${() => predict({ ...named, steps: { normalised: false } })} of=${image}>${(unscaled) => html`
      <${Both} ...${{ model, walk, answers, image, scaled, unscaled }} />`}<//>`;
  }}<//>`;
}

function Both({ model, walk, answers, image, scaled, unscaled }) {
  const isOff = Boolean(state.walk.unscaled), shown = isOff ? unscaled : scaled;
  const [low, high] = rangeOf(shown).range, guess = answers.get("guess") || "";
  const before = scaled.predictions[walk.target], after = unscaled.predictions[walk.target];
  const turn = (on) => {
    set({ walk: { ...state.walk, unscaled: on ? 0 : 1 } });
    if (!on) answers.record([["walk.scaling.sheet", { before: before.label, beforeP: percent(before.probability), after: after.label, afterP: percent(after.probability) }]], [[image, "walk.scaling.sheetImage", {}]]);
  };
  return html`<div class="beside walkbeside"><${WalkImage} model=${model} image=${image} side=${168} />
      <div class="grow"><p>${t("walk.scaling.numbers", { low: number(low, 3), high: number(high, 3) })}</p>
      <${Bars} caption=${t(isOff ? "walk.scaling.without" : "walk.scaling.with")} probabilities=${shown.predictions[walk.target].probabilities} marked=${labelOf(walk, image)} /></div></div>
    <${Task} text=${t("walk.scaling.task")} done=${Boolean(answers.get("rows"))}>
      <${Choice} legend=${t("walk.scaling.guess")} name="guess" value=${guess} choices=${["same", "other"].map((name) => [name, t(`walk.scaling.${name}`)])} onchange=${(value) => answers.put({ guess: value })} />
      <p><${Switch} label=${t("walk.scaling.switch")} checked=${!isOff} onchange=${turn} disabled=${!guess} /></p>
      ${isOff && html`<p role="status">${t(effectOf(before, after), { before: before.label, after: after.label, beforeP: percent(before.probability), afterP: percent(after.probability) })}</p>`}
    <//>`;
}

/** Whether the prediction stays, changes, or says nothing: too large numbers can give all classes one probability. */
function effectOf(before, after) {
  const values = Object.values(after.probabilities);
  if (Math.max(...values) - Math.min(...values) < 0.01) return "walk.scaling.isFlat";
  return before.label === after.label ? "walk.scaling.isSame" : "walk.scaling.isOther";
}

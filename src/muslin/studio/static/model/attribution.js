// The attribution of a class versus another, or of one class: which parts of the image speak for it and which against
// it; and the sanity checks of that map.

import { askOnce } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { AttributionOverlay, FeatureMap, imageUnder, Load, Select, Switch } from "/static/components/index.js";
import { classes, html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { messageText, number, percent, signed, t } from "/static/texts.js";
import { SanityChecks } from "./sanity_checks.js";

const MAP_PX = 380;

export function Attribution({ model, named }) {
  const target = model.targets.find((one) => one.name === state.target) || model.targets[0];
  return html`<h2>${t("tab.attribution")}</h2><p class="lead">${t("attributionLead")}</p>
    <${Load} of=${named} from=${() => askOnce("/api/predict", { inspection: named })}>${(result) => html`<${Question} model=${model} named=${named} target=${target} result=${result} />`}<//>`;
}

/** Which class is asked about, and versus which: by default the predicted one versus the true one or the runner-up. */
function askedOf(target, prediction, truth) {
  const order = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const label = target.classes.includes(state.label) ? state.label : prediction.label;
  if (!state.pair || order.length < 2) return { label, versus: "" };
  if (target.classes.includes(state.versus) && state.versus !== label) return { label, versus: state.versus };
  return { label, versus: [truth, ...order].find((name) => name && name !== label) };
}

function Question({ model, named, target, result }) {
  const prediction = result.predictions[target.name], { label, versus } = askedOf(target, prediction, result.labels?.[target.name]);
  const words = (name) => `${name} (${percent(prediction.probabilities[name])})`;
  const layers = target.attribution_layers;
  const request = { inspection: named, target: target.name, class: label, versus: versus || null, layer: layers.includes(state.attributionLayer) ? state.attributionLayer : null, tta_view: model.tta_flip ? "both" : state.tta_view };
  return html`<div class="toolbar">
      ${model.targets.length > 1 && html`<${Select} label=${t("target")} choices=${model.targets.map((one) => [one.name, one.name])} value=${target.name} data-key="target" onchange=${(name) => set({ target: name, label: "", versus: "" })} />`}
      <${Select} label=${t("class")} choices=${target.classes.map((name) => [name, words(name)])} value=${label} data-key="class" onchange=${(name) => set({ label: name, versus: name === versus ? "" : state.versus })} />
      ${versus && html`<${Select} label=${t("versus")} choices=${target.classes.filter((name) => name !== label).map((name) => [name, words(name)])} value=${versus} data-key="versus" onchange=${(name) => set({ versus: name })} />`}
      ${target.classes.length > 1 && html`<${Switch} label=${t("model.classAlone")} checked=${!state.pair} data-key="alone" onchange=${(alone) => set({ pair: !alone })} />`}
      <${Load} of=${request} from=${() => askOnce("/api/attribution", request)} loading=${""}>${(found) => found.layers.length > 1 && html`
        <${Select} label=${t("atLayer")} choices=${found.layers.map((name) => [name, name])} value=${found.layer} data-key="layer" onchange=${(name) => set({ attributionLayer: name })} />`}<//>
    </div>
    <${Load} of=${request} from=${() => loaded(request)}>${(made) => html`<${Map} ...${made} /><${SanityChecks} request=${made.request} found=${made.found} />`}<//>`;
}

/** The attribution, and the image under it where that can be had. */
async function loaded(request) {
  const found = await askOnce("/api/attribution", request);
  const under = await imageUnder(request.inspection);
  return { request, found, under, values: Float32Array.from(found.cells.flat()), scale: scaleOf(-found.range, found.range) };
}

function Map({ found, under, values, scale }) {
  const { versus, class: label } = found, title = versus ? t("attributionPair", { class: label, versus }) : t("attributionFor", { class: label });
  return html`<div class="attribution">
    <section><h3>${title}</h3><${FeatureMap} values=${values} rows=${found.rows} columns=${found.columns} scale=${scale} unit=${t(versus ? "model.unit.scoreDifference" : "model.unit.scorePart")} label=${title} width=${MAP_PX} isExact name=${`attribution-${label}`} /></section>
    <section><h3>${t("onImage")}</h3><${AttributionOverlay} found=${found} under=${under} label=${t("onImage")} /><p class="soft">${t("enlarged", { rows: found.rows, columns: found.columns, layer: found.layer })}</p></section>
    <section class="panel sums"><${Sums} found=${found} sum=${values.reduce((a, b) => a + b, 0)} /></section></div>`;
}

function Sums({ found, sum }) {
  const { versus, class: label } = found;
  return html`<p class=${classes("stamp", found.is_exact ? "exact" : "approximate")}>${t(found.is_exact ? "exact" : "approximate")}</p>
    <p class="soft">${messageText(found.reason)}</p>
    <dl class="sum"><dt>${t("cellsSum")}</dt><dd class="number">${signed(sum, 6)}</dd><dt>${t("bias")}</dt><dd class="number">${signed(found.bias, 6)}</dd>
      <dt>${versus ? t("scoreDifference") : t("scoreOf", { class: label })}</dt><dd class="number strong">${signed(found.score, 6)}</dd></dl>
    <p class="soft">${found.is_exact ? t("sumEqualsScore", { difference: number(Math.abs(found.difference), 2) }) : t("sumDiffers", { difference: number(Math.abs(found.difference), 3) })}</p>
    <p class="soft">${versus ? t("model.pairReading", { class: label, versus }) : t("pairText")}</p>`;
}

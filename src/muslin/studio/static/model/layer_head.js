// What a layer is and does, and its switches.

import { Switch } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { count, language, percent, short, t, tOr } from "/static/texts.js";
import { kindText, RangeChoice, shapeText, targetOf, ViewChoice } from "./scales.js";

export function LayerHead({ model, layer, title }) {
  const { kernel } = layer;
  const facts = [
    shapeText(layer.shape), layer.parameters && t("parametersCount", { n: count(layer.parameters) }), layer.multiply_adds && t("multiplyAddsCount", { n: short(layer.multiply_adds) }),
    layer.multiply_adds_share && t("shareOf", { share: percent(layer.multiply_adds_share) }),
    kernel && t("kernelFacts", { size: kernel.size.join(" × "), stride: kernel.stride.join(" × "), pads: kernel.pads.join(", ") }),
    kernel?.groups > 1 && (kernel.groups === kernel.outputs ? t("depthwise") : t("groups", { n: kernel.groups })),
  ];
  return html`<h2 tabindex="-1" ref=${title}>${layer.name} <span class="of">${kindText(layer)}</span></h2>
    <p class="soft">${facts.filter(Boolean).join(" · ")}</p>
    <${Explanation} model=${model} layer=${layer} />`;
}

/** What this layer does, what that is for, and what a learner should know about its kind. */
function Explanation({ model, layer }) {
  const more = tOr(`model.kind.${layer.kind.replaceAll(" ", "_")}`, ""), detail = layer.details[language], purpose = layer.purposes[language];
  if (!detail && !purpose && !more) return null;
  return html`<div class="explained"><p>${detail && html`<strong>${t("model.layerDoes", { what: detail })}</strong> `}${purpose && t("model.layerPurpose", { what: purpose })}</p>
    ${more && html`<p>${more}</p>`}
    ${/softmax|sigmoid/.test(layer.kind) && targetOf(model, layer)?.is_calibrated && html`<p>${t("model.calibrated")}</p>`}</div>`;
}

/** The colour range, and what can be switched of this layer. */
export function LayerTools({ model, layer }) {
  const toggles = [
    [{ kind: "dropout", layer: layer.name, seed: 0 }, "dropoutOn"], [{ kind: "pooling", layer: layer.name, how: "mean" }, "poolMean"], [{ kind: "layer_off", layer: layer.name }, "switchOffLayer"],
  ].filter(([edit]) => layer.edits.includes(edit.kind));
  return html`<div class="toolbar"><${RangeChoice} /><${ViewChoice} model=${model} />
    ${toggles.map(([edit, words]) => html`<${EditSwitch} key=${edit.kind} edit=${edit} label=${t(words)} />`)}</div>`;
}

function EditSwitch({ edit, label }) {
  const isThis = (one) => one.kind === edit.kind && one.layer === edit.layer;
  const to = (on) => set({ model_edits: on ? [...state.model_edits, edit] : state.model_edits.filter((one) => !isThis(one)) });
  return html`<${Switch} label=${label} checked=${state.model_edits.some(isThis)} data-key=${edit.kind} onchange=${to} />`;
}

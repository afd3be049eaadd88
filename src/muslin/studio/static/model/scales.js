// The colour scales of a network's values, and what these values are.

import { scaleOf } from "/static/colour.js";
import { Choice } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { count, language, t } from "/static/texts.js";

/** The colour scale of channel k of a sheet, by the chosen range. */
export function scaleFor(header, k) {
  const [low, high] = state.range === "map" ? [header.low[k], header.high[k]] : state.range === "network" ? header.network_range : header.layer_range;
  return scaleOf(low, high);
}

export const RangeChoice = () => html`<${Choice} legend=${t("range")} name="range" value=${state.range} onchange=${(range) => set({ range })}
  choices=${["map", "layer", "network"].map((one) => [one, t(`range.${one}`)])} />`;

/** The two images that a network with flipped test-time augmentation sees. */
export const ViewChoice = ({ model }) => model.tta_flip && html`<${Choice} legend=${t("ttaView")} name="tta_view" value=${state.tta_view} onchange=${(tta_view) => set({ tta_view })}
  choices=${["original", "flipped"].map((one) => [one, t(`ttaView.${one}`)])} />`;

/** What the values of a layer are: the unit of its colour scale. */
function unitOf(model, layer) {
  if (model.targets.some((target) => target.scores === layer.name)) return t("model.unit.score");
  if (/softmax|sigmoid/.test(layer.kind)) return t("model.unit.probability");
  if (layer.kind === "scale" || layer.kind === "normalise" || layer.column <= 2) return t("model.unit.scaled");
  return t("model.unit.activation");
}

/** The same with the range that the colours cover. */
export const unitWithRange = (model, layer) => `${unitOf(model, layer)} · ${t(`model.rangeOf.${state.range}`)}`;

export const shapeText = (shape) => (shape.length === 3 ? `${shape[0]} × ${shape[1]} × ${shape[2]}` : count(shape[0] ?? 1));
export const kindText = (layer) => layer.kind_names[language] || layer.kind;

/** A target whose classes are the values of a layer; null for other layers. */
export const targetOf = (model, layer) => model.targets.find((target) => target.scores === layer.name || target.name === layer.name) || null;

// The tab "network": the drawing of the whole network, or one of its layers.

import { Button, Switch } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { Drawing } from "./drawing.js";
import { LayerView } from "./layer.js";
import { nodesOf, opened } from "./layout.js";
import { kindText, RangeChoice, shapeText, ViewChoice } from "./scales.js";

export function Network({ model, named }) {
  const layer = model.layers.find((one) => one.name === state.layer);
  return layer ? html`<${LayerView} key=${layer.name} model=${model} layer=${layer} named=${named} />` : html`<${Overview} model=${model} named=${named} />`;
}

function Overview({ model, named }) {
  const open = opened(model, state.unfolded, state.auxiliary), nodes = nodesOf(model, open, state.auxiliary);
  return html`<h2 class="visuallyhidden">${t("tab.network")}</h2>
    <div class="toolbar">
      <${RangeChoice} /><${ViewChoice} model=${model} /><${TrainingSwitch} model=${model} />
      ${model.blocks.length > 0 && html`<${Button} data-key="fold" onclick=${() => set({ unfolded: open.length ? [] : model.blocks.map((block) => block.name) })}>${t(open.length ? "foldAll" : "unfoldAll")}<//>`}
      ${model.layers.some((one) => one.auxiliary) && html`<${Switch} label=${t("showAuxiliary")} checked=${state.auxiliary} data-key="all" onchange=${(auxiliary) => set({ auxiliary })} />`}
    </div>
    <${Drawing} model=${model} named=${named} nodes=${nodes} open=${open} />
    <p class="soft">${t("networkLead")}</p>
    <details class="valuetable"><summary>${t("asTable")}</summary><${LayerTable} model=${model} /></details>`;
}

/** Dropout as in training, of all layers that have it: predictions leave it out. */
function TrainingSwitch({ model }) {
  const layers = model.layers.filter((layer) => layer.edits.includes("dropout"));
  if (!layers.length) return null;
  const others = state.model_edits.filter((edit) => edit.kind !== "dropout");
  const isOn = others.length < state.model_edits.length;
  const to = (on) => set({ model_edits: on ? [...others, ...layers.map(({ name }) => ({ kind: "dropout", layer: name, seed: 0 }))] : others });
  return html`<${Switch} label=${t("dropoutOn")} checked=${isOn} data-key="dropout" onchange=${to} />`;
}

function LayerTable({ model }) {
  const rows = model.layers.filter((one) => state.auxiliary || !one.auxiliary);
  return html`<div class="wide" role="region" tabindex="0" aria-label=${t("asTable")}><table>
    <thead><tr>${["layer", "kind", "shape", "parameters", "share", "inputs"].map((name) => html`<th scope="col">${t(`column.${name}`)}</th>`)}</tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.name}>
      <th scope="row"><${Button} kind="quiet link" onclick=${() => set({ layer: one.name, channel: 0, at: [] }, true)}>${one.name}<//></th>
      <td>${kindText(one)}</td><td class="number">${shapeText(one.shape)}</td><td class="number">${count(one.parameters)}</td>
      <td class="number">${percent(one.multiply_adds_share || 0)}</td><td>${one.inputs.join(", ")}</td></tr>`)}</tbody></table></div>`;
}

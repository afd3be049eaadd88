// One channel of a layer, large; or all its features.

import { ask } from "/static/api.js";
import { Button, FeatureMap } from "/static/components/index.js";
import { html } from "/static/html.js";
import { sheetMap } from "/static/painting.js";
import { set, state } from "/static/state.js";
import { number, t } from "/static/texts.js";
import { scaleFor, targetOf, unitWithRange } from "./scales.js";

export function LargeMap({ model, layer, named, sheet, plan, channel, values, at, isOff, point, choose }) {
  const { isFlat, rows, columns, count } = plan, target = isFlat ? targetOf(model, layer) : null;
  const exact = (top, left, height, width) => exactValues({ named, layer, plan, channel }, top, left, height, width);
  return html`<section class="large" aria-label=${t("oneMap")}>
    <h3>${isFlat ? t("features", { n: count }) : t("channelOf", { channel: channel + 1, of: count })}</h3>
    ${!isFlat && html`<p class="buttons">
      <${Button} kind="quiet" disabled=${channel === 0} onclick=${() => set({ channel: channel - 1, at: [] })}>${t("previous")}<//>
      <${Button} kind="quiet" disabled=${channel === count - 1} onclick=${() => set({ channel: channel + 1, at: [] })}>${t("next")}<//>
      ${layer.edits.includes("channel_off") && html`<${Button} aria-pressed=${String(isOff)} onclick=${() => switchChannel(layer, channel, isOff)}>${t(isOff ? "switchOnChannel" : "switchOffChannel")}<//>`}</p>`}
    <${FeatureMap} values=${values} rows=${rows} columns=${columns} scale=${scaleFor(sheet.header, channel)} unit=${unitWithRange(model, layer)} width=${isFlat ? 520 : 440} at=${at}
      name=${`${layer.name}-${channel + 1}`} label=${isFlat ? t("featuresOf", { layer: layer.name }) : t("mapOf", { channel: channel + 1, layer: layer.name })} point=${point} choose=${choose} numbers=${exact} />
    ${target && html`<${ClassValues} classes=${target.classes} values=${sheetMap(sheet, 0)} />`}
  </section>`;
}

function switchChannel(layer, channel, isOff) {
  const isThis = (edit) => edit.kind === "channel_off" && edit.layer === layer.name && edit.channel === channel;
  set({ model_edits: isOff ? state.model_edits.filter((edit) => !isThis(edit)) : [...state.model_edits, { kind: "channel_off", layer: layer.name, channel }] });
}

/** The classes by name, with their values: each leads to its arithmetic. */
function ClassValues({ classes, values }) {
  return html`<ol class="classvalues">${classes.map((name, i) => html`<li key=${name}><${Button} kind="quiet link" onclick=${() => set({ at: [i] }, true)}>${name}<//> <span class="number soft">${number(values[i], 4)}</span></li>`)}</ol>`;
}

async function exactValues({ named, layer, plan, channel }, top, left, height, width) {
  const body = { inspection: named, layer: layer.name, tta_view: state.tta_view, channel, top, left, height, width };
  if (!plan.isFlat) return (await ask("/api/values", body)).values;
  const from = top * plan.columns, n = Math.min(plan.count - from, height * plan.columns);
  const [row] = (await ask("/api/values", { ...body, top: 0, left: from, height: 1, width: n })).values;
  return Array.from({ length: height }, (_, i) => Array.from({ length: width }, (__, j) => row[i * plan.columns + left + j] ?? 0));
}

// The arithmetic of one value: every step from the nearest weights to it, with its terms and their sum.

import { Button, ErrorNotice, Savers } from "/static/components/index.js";
import { html } from "/static/html.js";
import { csv, download } from "/static/save.js";
import { language, messageText, number, t } from "/static/texts.js";
import { go, positionText } from "./positions.js";
import { STEP_VIEWS } from "./step_views.js";

const DIGITS = 6;
const INPUTS_SHOWN = 3;

/** All steps of `found`, a response of /api/arithmetic. */
export function LayerPath({ model, layer, found, error }) {
  if (!layer.has_arithmetic) return html`<p class="soft">${layer.unsupported ? messageText(layer.unsupported) : t("noArithmetic")}</p>`;
  if (error) return html`<${ErrorNotice} error=${error} />`;
  if (!found) return html`<p class="soft">${t("loading")}</p>`;
  const position = found.index.length === 1 ? t("featureAt", { n: found.index[0] + 1 }) : t("valueAt", { channel: found.index[0] + 1, row: found.index[1] + 1, column: found.index[2] + 1 });
  const difference = number(Math.abs(found.difference), 2);
  const agrees = Math.abs(found.difference) <= found.tolerance * Math.max(1, Math.abs(found.value));
  return html`<h3>${t("arithmeticOf", { position })}</h3>
    <ol class="layer-path">${found.layer_path.map((step) => html`<li key=${`${step.layer} ${step.kind}`}><${Step} step=${step} model=${model} /></li>`)}</ol>
    <p class="checked"><span>${t("sumOfTerms")} <strong class="number">${number(found.sum, DIGITS)}</strong></span> <span>${t("runtimeValue")} <strong class="number">${number(found.value, DIGITS)}</strong></span>
      ${" "}<span class="soft">${agrees ? t("agree", { difference, tolerance: number(found.tolerance) }) : t("disagree", { difference })}</span></p>
    <${Savers} ways=${{ CSV: () => download(`${found.layer}-${found.index.join("-")}.csv`, csv(rowsOf(found)), "text/csv") }} />`;
}

function Step({ step, model }) {
  const View = STEP_VIEWS[step.step_kind], inputs = (step.inputs || []).filter((one) => one.layer && one.index).slice(0, INPUTS_SHOWN);
  return html`<article class="layer-step">
    <header><h4>${step.kind_names[language] || step.kind} <span class="soft">${step.layer}</span></h4><p class="result number">= ${number(step.value, DIGITS)}</p></header>
    ${View ? html`<${View} step=${step} model=${model} />` : step.formula && html`<p class="formulatext number">${step.formula}</p>`}
    ${inputs.length > 0 && html`<p class="further"><span class="soft">${t("inputs")}</span> ${inputs.map((one) => html`<${Button} kind="quiet link number" onclick=${() => go(one)}>${one.layer} ${positionText(one.index)} = ${number(one.value)}<//>`)}</p>`}
  </article>`;
}

function rowsOf(found) {
  const rows = [["step", "layer", "what", "a", "b", "product or value"]];
  for (const step of found.layer_path) {
    for (const one of step.maps || []) one.values.forEach((row, y) => row.forEach((value, x) => rows.push([step.kind, step.layer, `map ${one.channel} row ${y} column ${x}`, value ?? 0, one.weights[y][x], (value ?? 0) * one.weights[y][x]])));
    for (const one of step.largest_terms || []) rows.push([step.kind, step.layer, `input ${one.input}`, one.value, one.weight, one.product]);
    if (step.bias !== null && step.bias !== undefined) rows.push([step.kind, step.layer, "bias", "", "", step.bias]);
    rows.push([step.kind, step.layer, "value", "", "", step.value]);
  }
  return rows;
}

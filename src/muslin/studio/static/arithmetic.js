// The arithmetic of one value: every step from the nearest weights to it, with its terms and their sum.

import { button, h } from "/static/dom.js";
import { scaleOf } from "/static/colour.js";
import { cells } from "/static/feature_maps.js";
import { csv, download, savers } from "/static/save.js";
import { set } from "/static/state.js";
import { count, language, number, percent, signed, t } from "/static/texts.js";

const DIGITS = 6;
const MAPS_SHOWN = 3; // input channels whose products are drawn; of the others only the sums are listed

/** All steps of `found`, a response of /api/arithmetic. */
export function layerPathView(model, layer, found) {
  const position = found.index.length === 1 ? t("featureAt", { n: found.index[0] + 1 }) : t("valueAt", { channel: found.index[0] + 1, row: found.index[1] + 1, column: found.index[2] + 1 });
  return [
    h("h3", {}, t("arithmeticOf", { position })),
    h("ol", { class: "layer-path" }, found.layer_path.map((step) => h("li", {}, stepView(model, step)))),
    h("p", { class: "checked" },
      h("span", {}, t("sumOfTerms"), " ", h("strong", { class: "number" }, number(found.sum, DIGITS))), " ",
      h("span", {}, t("runtimeValue"), " ", h("strong", { class: "number" }, number(found.value, DIGITS))), " ",
      h("span", { class: "soft" }, Math.abs(found.difference) <= found.tolerance * Math.max(1, Math.abs(found.value)) ? t("agree", { difference: number(Math.abs(found.difference), 2), tolerance: number(found.tolerance) }) : t("disagree", { difference: number(Math.abs(found.difference), 2) }))),
    savers({ CSV: () => download(`${found.layer}-${found.index.join("-")}.csv`, csv(rowsOf(found)), "text/csv") }),
  ];
}

function go(to) {
  if (!to?.layer || !to.index) return;
  set({ tab: "network", layer: to.layer, channel: to.index.length > 1 ? to.index[0] : 0, at: to.index.length > 1 ? to.index.slice(1) : to.index }, true);
}

const positionText = (index) => (index.length === 1 ? `[${index[0] + 1}]` : `[${index.map((one) => one + 1).join(", ")}]`);

function further(step) {
  const inputs = (step.inputs || []).filter((one) => one.layer && one.index).slice(0, 3);
  if (!inputs.length) return null;
  return h("p", { class: "further" }, h("span", { class: "soft" }, t("inputs")), " ", inputs.map((one) => button(`${one.layer} ${positionText(one.index)} = ${number(one.value)}`, () => go(one), { class: "quiet link number" })));
}

function stepView(model, step) {
  const show_ = VIEWS[step.step_kind];
  return h("article", { class: "layer-step" },
    h("header", {}, h("h4", {}, step.kind_names[language] || step.kind, " ", h("span", { class: "soft" }, step.layer)), h("p", { class: "result number" }, "= ", number(step.value, DIGITS))),
    show_ ? show_(step, model) : step.formula && h("p", { class: "formulatext number" }, step.formula),
    further(step));
}

const line = (...parts) => h("p", { class: "equation number" }, parts);
const part = (words, value) => h("span", { class: "part" }, h("small", {}, words), h("span", {}, value));
const sign = (text) => h("span", { class: "sign", "aria-hidden": "true" }, text);

function products(one) {
  const shown = one.values.map((row, y) => row.map((value, x) => (value === null ? 0 : value) * one.weights[y][x]));
  return h("div", { class: "products" },
    h("div", {}, h("h5", {}, t("windowOf", { channel: one.channel + 1 })), cells(one.values, { label: t("window"), tight: true })),
    sign("×"), h("div", {}, h("h5", {}, t("kernel")), cells(one.weights, { label: t("kernel"), tight: true })),
    sign("="), h("div", {}, h("h5", {}, t("products")), cells(shown, { label: t("products"), tight: true })),
    sign("→"), h("div", { class: "total" }, h("h5", {}, t("sum")), h("p", { class: "number" }, number(one.sum, 5))));
}

const VIEWS = {
  convolution(step) {
    const list = h("div", { class: "productlist" }, step.maps.slice(0, MAPS_SHOWN).map(products));
    const more = step.maps.slice(MAPS_SHOWN);
    const rest = step.sum - step.maps.reduce((sum, one) => sum + one.sum, 0);
    const left = (step.maps_total ?? step.maps.length) - step.maps.length;
    return [
      h("p", { class: "soft" }, t("convolutionText", { n: count(step.products_total), maps: count(step.maps_total ?? step.maps.length), rows: step.window.rows, columns: step.window.columns, top: step.window.top + 1, left: step.window.left + 1 }),
        step.window.top < 0 || step.window.left < 0 || step.maps.some((one) => one.values.some((row) => row.includes(null))) ? ` ${t("paddingText")}` : ""),
      list,
      more.length > 0 && h("details", {}, h("summary", {}, t("otherMaps", { n: count(more.length + Math.max(left, 0)) })),
        h("ul", { class: "sums" }, more.map((one) => h("li", {}, t("mapSum", { channel: one.channel + 1 }), " ", h("span", { class: "number" }, signed(one.sum, 5)))), left > 0 && h("li", {}, t("remaining", { n: count(left) }), " ", h("span", { class: "number" }, signed(rest, 5))))),
      line(part(t("sumOfProducts"), number(step.sum, DIGITS)), step.bias !== null && step.bias !== undefined ? [sign("+"), part(t("bias"), number(step.bias, DIGITS))] : part(t("bias"), t("none")), sign("="), number(step.value, DIGITS)),
    ];
  },
  dense(step) {
    return [
      step.main_terms && h("p", { class: "lead" }, t("denseShare", { count: count(step.main_terms.count), total: count(step.main_terms.total), percent: number(step.main_terms.percent, 3) })),
      h("div", { class: "wide", role: "region", tabindex: 0, "aria-label": t("contributions") }, h("table", { class: "contributions" },
        h("caption", {}, t("contributions")),
        h("thead", {}, h("tr", {}, ["input", "value", "weight", "product"].map((name) => h("th", { scope: "col" }, t(`column.${name}`))), h("th", { scope: "col" }, h("span", { class: "visuallyhidden" }, t("bar"))))),
        h("tbody", {}, step.largest_terms.slice(0, 12).map((one) => h("tr", {},
          h("th", { scope: "row" }, one.from ? button(`${one.input + 1}`, () => go(one.from), { class: "quiet link", title: `${one.from.layer} ${positionText(one.from.index)}` }) : one.input + 1),
          h("td", { class: "number" }, number(one.value)), h("td", { class: "number" }, number(one.weight)), h("td", { class: "number" }, signed(one.product, 4)),
          h("td", {}, signedBar(one.product, Math.abs(step.largest_terms[0].product)))))))),
      line(part(t("sumOfProducts"), number(step.sum, DIGITS)), step.bias !== null && step.bias !== undefined ? [sign("+"), part(t("bias"), number(step.bias, DIGITS))] : null, step.factor && step.factor !== 1 ? [sign("×"), part(t("factor"), number(step.factor, DIGITS))] : null, sign("="), number(step.value, DIGITS)),
    ];
  },
  batch_norm: (step) => line(sign("("), part(t("input"), number(step.input, DIGITS)), sign("−"), part(t("mean"), number(step.mean)), sign(") ÷ √("), part(t("variance"), number(step.variance)), sign("+"), part("ε", number(step.epsilon)), sign(") ×"), part(t("scale"), number(step.scale)), sign("+"), part(t("shift"), number(step.shift)), sign("="), number(step.value, DIGITS)),
  clipped,
  window: pooled,
  terms,
  softmax(step) {
    return [
      h("p", { class: "soft" }, t("softmaxText")),
      h("div", { class: "wide", role: "region", tabindex: 0, "aria-label": t("softmaxTerms") }, h("table", { class: "contributions" }, h("caption", { class: "visuallyhidden" }, t("softmaxTerms")),
        h("thead", {}, h("tr", {}, ["class", "score", "minusMax", "exp", "probability"].map((name) => h("th", { scope: "col" }, t(`column.${name}`))), h("th", { scope: "col" }, h("span", { class: "visuallyhidden" }, t("bar"))))),
        h("tbody", {}, [...step.terms].sort((a, b) => b.probability - a.probability).slice(0, 20).map((one) => h("tr", {}, h("th", { scope: "row" }, one.class),
          h("td", { class: "number" }, number(one.score)), h("td", { class: "number" }, number(one.minus_max)), h("td", { class: "number" }, number(one.exp)), h("td", { class: "number" }, percent(one.probability, 2)), h("td", {}, signedBar(one.probability, 1, true))))),
        h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, t("total")), h("td", {}), h("td", {}), h("td", { class: "number" }, number(step.total)), h("td", {}), h("td", {}))))),
    ];
  },
  moved: (step) => h("p", { class: "soft" }, t("movedText", { layer: step.inputs[0].layer })),
};

function clipped(step) {
  const what = step.clipped === "low" ? t("clippedLow", { low: number(step.low) }) : step.clipped === "high" ? t("clippedHigh", { high: number(step.high) }) : t("notClipped");
  const high = step.high === null || step.high === undefined ? "" : `, ${number(step.high)}`;
  return [line(high ? `min(max(${number(step.input, DIGITS)}, ${number(step.low)})${high})` : `max(${number(step.input, DIGITS)}, ${number(step.low)})`, " = ", number(step.value, DIGITS)), h("p", { class: "soft" }, what)];
}

function pooled(step) {
  const flat = step.values.flat().filter((value) => value !== null), scale = scaleOf(Math.min(...flat, 0), Math.max(...flat, 0));
  const table = cells(step.values, { label: t("window"), scale, tight: true });
  if (step.argmax) table.querySelectorAll("tr")[step.argmax[0]]?.children[step.argmax[1]]?.classList.add("winner");
  return h("div", { class: "products" }, h("div", {}, h("h5", {}, t("window")), table), sign("→"), h("div", { class: "total" }, h("h5", {}, step.argmax ? t("largest") : t("meanOf")), h("p", { class: "number" }, number(step.value, 5))));
}

function terms(step) {
  const shown = step.terms.slice(0, 6).flatMap((one, n) => [n ? sign(step.sign) : null, one.layer && one.index ? h("span", { class: "part" }, h("small", {}, one.layer), h("span", {}, number(one.value, DIGITS))) : number(one.value, DIGITS)]);
  return line(shown, step.terms.length > 6 ? " …" : "", step.kind === "mean" ? ` (÷ ${step.terms.length})` : "", sign("="), number(step.value, DIGITS));
}

/** A bar to the right for what is positive, to the left and hatched for what is negative. */
export function signedBar(value, max, onlyPositive = false) {
  const part_ = max ? Math.min(Math.abs(value) / max, 1) : 0;
  return h("span", { class: "signedbar" + (onlyPositive ? " one" : ""), "aria-hidden": "true" },
    h("i", { class: value < 0 ? "negative" : "positive", style: onlyPositive ? { left: "0", width: `${100 * part_}%` } : value < 0 ? { right: "50%", width: `${50 * part_}%` } : { left: "50%", width: `${50 * part_}%` } }));
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


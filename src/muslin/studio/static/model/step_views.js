// How one step of the arithmetic is shown: one component per kind of step.

import { Button, Cells } from "/static/components/index.js";
import { html } from "/static/html.js";
import { count, number, percent, signed, t } from "/static/texts.js";
import { go, positionText } from "./positions.js";
import { SignedBar } from "./signed_bar.js";

const DIGITS = 6;
const MAPS_SHOWN = 3; // input channels whose products are drawn; of the others only the sums are listed
const TERMS_SHOWN = 12, CLASSES_SHOWN = 20, SUMMED_SHOWN = 6;
const isNumber = (value) => value !== null && value !== undefined;

const Line = ({ children }) => html`<p class="equation number">${children}</p>`;
const Part = ({ words, value }) => html`<span class="part"><small>${words}</small><span>${value}</span></span>`;
const Sign = ({ children }) => html`<span class="sign" aria-hidden="true">${children}</span>`;
const Column = ({ name }) => html`<th scope="col">${t(`column.${name}`)}</th>`;
const BarColumn = () => html`<th scope="col"><span class="visuallyhidden">${t("bar")}</span></th>`;

/** A window times a kernel, product by product. */
function Products({ one }) {
  const products = one.values.map((row, y) => row.map((value, x) => (value ?? 0) * one.weights[y][x]));
  return html`<div class="products">
    <div><h5>${t("windowOf", { channel: one.channel + 1 })}</h5><${Cells} values=${one.values} label=${t("window")} tight /></div>
    <${Sign}>×<//><div><h5>${t("kernel")}</h5><${Cells} values=${one.weights} label=${t("kernel")} tight /></div>
    <${Sign}>=<//><div><h5>${t("products")}</h5><${Cells} values=${products} label=${t("products")} tight /></div>
    <${Sign}>→<//><div class="total"><h5>${t("sum")}</h5><p class="number">${number(one.sum, 5)}</p></div></div>`;
}

function Convolution({ step }) {
  const more = step.maps.slice(MAPS_SHOWN), all = step.maps_total ?? step.maps.length;
  const rest = step.sum - step.maps.reduce((sum, one) => sum + one.sum, 0), left = all - step.maps.length;
  const { window } = step, isPadded = window.top < 0 || window.left < 0 || step.maps.some((one) => one.values.some((row) => row.includes(null)));
  return html`<p class="soft">${t("convolutionText", { n: count(step.products_total), maps: count(all), rows: window.rows, columns: window.columns, top: window.top + 1, left: window.left + 1 })}${isPadded && ` ${t("paddingText")}`}</p>
    <div class="productlist">${step.maps.slice(0, MAPS_SHOWN).map((one) => html`<${Products} key=${one.channel} one=${one} />`)}</div>
    ${more.length > 0 && html`<details><summary>${t("otherMaps", { n: count(more.length + Math.max(left, 0)) })}</summary>
      <ul class="sums">${more.map((one) => html`<li>${t("mapSum", { channel: one.channel + 1 })} <span class="number">${signed(one.sum, 5)}</span></li>`)}${left > 0 && html`<li>${t("remaining", { n: count(left) })} <span class="number">${signed(rest, 5)}</span></li>`}</ul></details>`}
    <${Line}><${Part} words=${t("sumOfProducts")} value=${number(step.sum, DIGITS)} />${isNumber(step.bias) && html`<${Sign}>+<//>`}<${Part} words=${t("bias")} value=${isNumber(step.bias) ? number(step.bias, DIGITS) : t("none")} /><${Sign}>=<//>${number(step.value, DIGITS)}<//>`;
}

function Dense({ step }) {
  const largest = Math.abs(step.largest_terms[0]?.product ?? 0), main = step.main_terms;
  return html`${main && html`<p class="lead">${t("denseShare", { count: count(main.count), total: count(main.total), percent: number(main.percent, 3) })}</p>`}
    <div class="wide" role="region" tabindex="0" aria-label=${t("contributions")}><table class="contributions"><caption>${t("contributions")}</caption>
      <thead><tr>${["input", "value", "weight", "product"].map((name) => html`<${Column} name=${name} />`)}<${BarColumn} /></tr></thead>
      <tbody>${step.largest_terms.slice(0, TERMS_SHOWN).map((one) => html`<tr key=${one.input}>
        <th scope="row">${one.from ? html`<${Button} kind="quiet link" title=${`${one.from.layer} ${positionText(one.from.index)}`} onclick=${() => go(one.from)}>${one.input + 1}<//>` : one.input + 1}</th>
        <td class="number">${number(one.value)}</td><td class="number">${number(one.weight)}</td><td class="number">${signed(one.product, 4)}</td><td><${SignedBar} value=${one.product} max=${largest} /></td></tr>`)}</tbody></table></div>
    <${Line}><${Part} words=${t("sumOfProducts")} value=${number(step.sum, DIGITS)} />${isNumber(step.bias) && html`<${Sign}>+<//><${Part} words=${t("bias")} value=${number(step.bias, DIGITS)} />`}
      ${step.factor && step.factor !== 1 && html`<${Sign}>×<//><${Part} words=${t("factor")} value=${number(step.factor, DIGITS)} />`}<${Sign}>=<//>${number(step.value, DIGITS)}<//>`;
}

function BatchNorm({ step }) {
  return html`<${Line}><${Sign}>(<//><${Part} words=${t("input")} value=${number(step.input, DIGITS)} /><${Sign}>−<//><${Part} words=${t("mean")} value=${number(step.mean)} /><${Sign}>) ÷ √(<//><${Part} words=${t("variance")} value=${number(step.variance)} />
    <${Sign}>+<//><${Part} words="ε" value=${number(step.epsilon)} /><${Sign}>) ×<//><${Part} words=${t("scale")} value=${number(step.scale)} /><${Sign}>+<//><${Part} words=${t("shift")} value=${number(step.shift)} /><${Sign}>=<//>${number(step.value, DIGITS)}<//>`;
}

function Clipped({ step }) {
  const what = step.clipped === "low" ? t("clippedLow", { low: number(step.low) }) : step.clipped === "high" ? t("clippedHigh", { high: number(step.high) }) : t("notClipped");
  const inner = `max(${number(step.input, DIGITS)}, ${number(step.low)})`;
  return html`<${Line}>${isNumber(step.high) ? `min(${inner}, ${number(step.high)})` : inner} = ${number(step.value, DIGITS)}<//><p class="soft">${what}</p>`;
}

function Pooled({ step }) {
  return html`<div class="products"><div><h5>${t("window")}</h5><${Cells} values=${step.values} label=${t("window")} winner=${step.argmax} tight /></div>
    <${Sign}>→<//><div class="total"><h5>${t(step.argmax ? "largest" : "meanOf")}</h5><p class="number">${number(step.value, 5)}</p></div></div>`;
}

function Terms({ step }) {
  const shown = step.terms.slice(0, SUMMED_SHOWN).map((one, n) => html`${n > 0 && html`<${Sign}>${step.sign}<//>`}${one.layer && one.index ? html`<${Part} words=${one.layer} value=${number(one.value, DIGITS)} />` : number(one.value, DIGITS)}`);
  return html`<${Line}>${shown}${step.terms.length > SUMMED_SHOWN && " …"}${step.kind === "mean" && ` (÷ ${step.terms.length})`}<${Sign}>=<//>${number(step.value, DIGITS)}<//>`;
}

function Softmax({ step }) {
  const shown = [...step.terms].sort((a, b) => b.probability - a.probability).slice(0, CLASSES_SHOWN);
  return html`<p class="soft">${t("softmaxText")}</p>
    <div class="wide" role="region" tabindex="0" aria-label=${t("softmaxTerms")}><table class="contributions"><caption class="visuallyhidden">${t("softmaxTerms")}</caption>
      <thead><tr>${["class", "score", "minusMax", "exp", "probability"].map((name) => html`<${Column} name=${name} />`)}<${BarColumn} /></tr></thead>
      <tbody>${shown.map((one) => html`<tr key=${one.class}><th scope="row">${one.class}</th><td class="number">${number(one.score)}</td><td class="number">${number(one.minus_max)}</td><td class="number">${number(one.exp)}</td>
        <td class="number">${percent(one.probability, 2)}</td><td><${SignedBar} value=${one.probability} max=${1} isPositive /></td></tr>`)}</tbody>
      <tfoot><tr><th scope="row">${t("total")}</th><td></td><td></td><td class="number">${number(step.total)}</td><td></td><td></td></tr></tfoot></table></div>`;
}

const Moved = ({ step }) => html`<p class="soft">${t("movedText", { layer: step.inputs[0].layer })}</p>`;

export const STEP_VIEWS = { convolution: Convolution, dense: Dense, batch_norm: BatchNorm, clipped: Clipped, window: Pooled, terms: Terms, softmax: Softmax, moved: Moved };

// The arithmetic of the chosen value of the bench: the products, then ReLU, or the window that is pooled.

import { scaleOf } from "/static/colour.js";
import { Cells } from "/static/components/index.js";
import { html } from "/static/html.js";
import { pixelAt } from "/static/kernels.js";
import { count, number, t } from "/static/texts.js";
import { POOL_PX } from "./stages.js";

const PIXELS = scaleOf(0, 255, true);
const Sign = ({ children }) => html`<span class="sign" aria-hidden="true">${children}</span>`;

export function Arithmetic({ given, stages, settings, spot }) {
  const [y, x] = spot.at, isPooled = spot.stage === "pooled";
  const place = isPooled ? { row: Math.floor(y / POOL_PX) + 1, column: Math.floor(x / POOL_PX) + 1 } : { row: y + 1, column: x + 1 };
  return html`<section class="panel arithmetic" aria-label=${t("arithmetic")}><h2>${t("arithmeticAt", place)}</h2>
    ${isPooled ? html`<${Pooling} before=${stages.at(-2)} after=${stages.at(-1)} y=${y} x=${x} how=${settings.pool} />` : html`<${Products} given=${given} plane=${stages[0].values} result=${stages[1]} settings=${settings} y=${y} x=${x} />`}
    ${spot.stage === "relu" && html`<p class="equation number">max(${number(valueAt(stages[1], y, x), 5)}, 0) = <strong>${number(valueAt(stages[2], y, x), 5)}</strong></p>`}</section>`;
}

const valueAt = (stage, y, x) => stage.values[y * stage.columns + x];

function Products({ given, plane, result, settings: { kernel, stride, padding, border }, y, x }) {
  const top = y * stride - padding, left = x * stride - padding, size = kernel.length;
  const isOutside = (v, u) => top + v < 0 || left + u < 0 || top + v >= given.rows || left + u >= given.columns;
  const window = kernel.map((row, v) => row.map((_, u) => (isOutside(v, u) && border === "zero" ? null : pixelAt(plane, given.rows, given.columns, top + v, left + u, border))));
  const products = kernel.map((row, v) => row.map((weight, u) => (window[v][u] ?? 0) * weight));
  return html`<div class="products">
    <div><h3>${t("window")}</h3><${Cells} values=${window} scale=${PIXELS} label=${t("window")} /></div><${Sign}>×<//>
    <div><h3>${t("kernel")}</h3><${Cells} values=${kernel} label=${t("kernel")} /></div><${Sign}>=<//>
    <div><h3>${t("products")}</h3><${Cells} values=${products} label=${t("products")} /></div><${Sign}>→<//>
    <div class="total"><h3>${t("sum")}</h3><p class="big number">${number(valueAt(result, y, x), 5)}</p><p class="soft">${t("ofProducts", { n: count(size * size) })}</p></div></div>`;
}

function Pooling({ before, after, y, x, how }) {
  const top = Math.min(Math.floor(y / POOL_PX), after.rows - 1) * POOL_PX, left = Math.min(Math.floor(x / POOL_PX), after.columns - 1) * POOL_PX;
  const window = Array.from({ length: POOL_PX }, (_, v) => Array.from({ length: POOL_PX }, (__, u) => valueAt(before, top + v, left + u)));
  const flat = window.flat(), best = flat.indexOf(Math.max(...flat));
  return html`<div class="products"><div><h3>${t("window")}</h3><${Cells} values=${window} label=${t("window")} winner=${how === "max" ? [Math.floor(best / POOL_PX), best % POOL_PX] : undefined} /></div><${Sign}>→<//>
    <div class="total"><h3>${t(how === "max" ? "largest" : "meanOf")}</h3><p class="big number">${number(valueAt(after, top / POOL_PX, left / POOL_PX), 5)}</p></div></div>`;
}

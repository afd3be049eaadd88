// Curves of a few lines, drawn as SVG; lines differ by dash as well as by colour.

import { h, s } from "/static/dom.js";
import { csv, download, savers, svgFile } from "/static/save.js";
import { number, t } from "/static/texts.js";

const SIZE = { width: 420, height: 230, left: 46, right: 24, top: 12, bottom: 40 };

/** `lines`: [{words, values, dash}], `band`: {low, high}; x from 0 to 1. */
export function curves({ title, x, lines, band, xWords, name }) {
  const all = [...lines.flatMap((one) => one.values), ...(band ? [...band.low, ...band.high] : [])];
  const low = Math.min(...all), high = Math.max(...all), span = high - low || 1;
  const px = (value) => SIZE.left + value * (SIZE.width - SIZE.left - SIZE.right);
  const py = (value) => SIZE.top + (1 - (value - low) / span) * (SIZE.height - SIZE.top - SIZE.bottom);
  const path = (values) => values.map((value, i) => `${i ? "L" : "M"}${px(x[i]).toFixed(1)} ${py(value).toFixed(1)}`).join("");
  const ticks = [low, (low + high) / 2, high];
  const drawing = s("svg", { class: "chart", viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": title },
    ticks.map((value) => [s("line", { class: "grid", x1: SIZE.left, x2: SIZE.width - SIZE.right, y1: py(value), y2: py(value) }), s("text", { class: "tick", x: SIZE.left - 6, y: py(value) + 4, "text-anchor": "end" }, number(value, 2))]),
    [0, 0.5, 1].map((value) => s("text", { class: "tick", x: px(value), y: SIZE.height - 22, "text-anchor": "middle" }, `${100 * value} %`)),
    s("text", { class: "tick", x: (SIZE.left + SIZE.width) / 2, y: SIZE.height - 5, "text-anchor": "middle" }, xWords),
    band && s("path", { class: "band", d: `${path(band.high)}L${band.low.map((_, i) => { const k = band.low.length - 1 - i; return `${px(x[k]).toFixed(1)} ${py(band.low[k]).toFixed(1)}`; }).join("L")}Z` }),
    lines.map((one) => s("path", { class: `curve ${one.dash ? "dashed" : "solid"}`, d: path(one.values) })));
  return h("figure", { class: "chartfigure" },
    h("figcaption", {}, title),
    drawing,
    h("ul", { class: "key" }, lines.map((one) => h("li", {}, s("svg", { width: 30, height: 8, viewBox: "0 0 30 8", "aria-hidden": "true" }, s("path", { class: `curve ${one.dash ? "dashed" : "solid"}`, d: "M0 4H30" })), one.words))),
    h("details", { class: "valuetable" }, h("summary", {}, t("values")), h("div", { class: "wide", role: "region", tabindex: 0, "aria-label": title }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, xWords), lines.map((one) => h("th", { scope: "col" }, one.words)))),
      h("tbody", {}, x.map((at, i) => h("tr", {}, h("th", { scope: "row", class: "number" }, `${number(100 * at, 3)} %`), lines.map((one) => h("td", { class: "number" }, number(one.values[i], 4))))))))),
    savers({
      SVG: () => download(`${name}.svg`, svgFile(drawing), "image/svg+xml"),
      CSV: () => download(`${name}.csv`, csv([["share", ...lines.map((one) => one.words)], ...x.map((at, i) => [at, ...lines.map((one) => one.values[i])])]), "text/csv"),
    }));
}

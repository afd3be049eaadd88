// Curves over a common axis as SVG; lines differ by dash as well as by colour. A table has the same numbers.

import { html } from "/static/html.js";
import { csv, download, svgFile } from "/static/save.js";
import { number, t } from "/static/texts.js";
import { Table } from "/static/components/table.js";
import { Savers } from "./values.js";

const SIZE = { width: 460, height: 240, left: 52, right: 16, top: 12, bottom: 40 };
const DASHES = [null, "6 4", "2 3", "10 3 2 3"];

/**
 * `x`: the positions; `lines`: [{words, values}], where null is a gap; `marks`: positions of vertical lines with words,
 * [{at, words}]; `band`: {low, high}, values per position between which is shaded. `low` and `high` fix the vertical
 * axis, `formatX` and `format` are of the numbers. With `name`, the chart can be saved under it.
 */
export function LineChart({ title, x, xWords, lines, marks = [], band, low, high, format = (value) => number(value, 3), formatX = (at) => number(at, 6), name }) {
  const all = [...lines.flatMap((line) => line.values), ...(band ? [...band.low, ...band.high] : [])].filter(Number.isFinite);
  if (!all.length) return html`<figure class="chartfigure"><figcaption>${title}</figcaption><p class="soft">${t("nothingYet")}</p></figure>`;
  const bottom = low ?? Math.min(...all), top = high ?? Math.max(...all), span = top - bottom || 1;
  const first = x[0], length = x.at(-1) - first || 1;
  const px = (at) => SIZE.left + ((at - first) / length) * (SIZE.width - SIZE.left - SIZE.right);
  const py = (value) => SIZE.top + (1 - (value - bottom) / span) * (SIZE.height - SIZE.top - SIZE.bottom);
  return html`<figure class="chartfigure"><figcaption>${title}</figcaption>
    <svg class="chart" viewBox=${`0 0 ${SIZE.width} ${SIZE.height}`} role="img" aria-label=${title}>
      ${[bottom, (bottom + top) / 2, top].map((value) => html`<line class="grid" x1=${SIZE.left} x2=${SIZE.width - SIZE.right} y1=${py(value)} y2=${py(value)} />
        <text class="tick" x=${SIZE.left - 6} y=${py(value) + 4} text-anchor="end">${format(value)}</text>`)}
      ${[first, x.at(-1)].map((at, i) => (i && x.length === 1 ? null : html`<text class="tick" x=${px(at)} y=${SIZE.height - 22} text-anchor="middle">${number(at, 6)}</text>`))}
      <text class="tick" x=${(SIZE.left + SIZE.width) / 2} y=${SIZE.height - 6} text-anchor="middle">${xWords}</text>
      ${marks.map((mark) => html`<line class="chartmark" x1=${px(mark.at)} x2=${px(mark.at)} y1=${SIZE.top} y2=${SIZE.height - SIZE.bottom}><title>${mark.words}</title></line>`)}
      ${band && html`<path class="band" d=${`${path(x, band.high, px, py)}${path([...x].reverse(), [...band.low].reverse(), px, py).replace("M", "L")}Z`} />`}
      ${lines.map((line, n) => html`<path class=${`line line${n % 4}`} stroke-dasharray=${DASHES[n % 4]} d=${path(x, line.values, px, py)} />`)}
      ${x.length < 60 && lines.map((line, n) => line.values.map((value, i) => Number.isFinite(value) && html`<circle class=${`dot line${n % 4}`} r="2.4" cx=${px(x[i])} cy=${py(value)} />`))}
    </svg>
    <ul class="key">${lines.map((line, n) => html`<li key=${line.words}><svg width="30" height="8" viewBox="0 0 30 8" aria-hidden="true"><path class=${`line line${n % 4}`} stroke-dasharray=${DASHES[n % 4]} d="M0 4H30" /></svg>${line.words}</li>`)}</ul>
    <details class="valuetable"><summary>${t("values")}</summary>
      <${Table} caption=${title} rows=${x.map((at, i) => ({ at, i }))} rowKey=${(row) => row.i}
        columns=${[{ name: "at", words: xWords, cell: (row) => formatX(row.at) }, ...lines.map((line) => ({ name: line.words, words: line.words, isNumber: true, cell: (row) => format(line.values[row.i]) }))]} /></details>
    ${name && html`<${Savers} ways=${{
    SVG: (event) => download(`${name}.svg`, svgFile(event.currentTarget.closest("figure").querySelector(".chart")), "image/svg+xml"),
    CSV: () => download(`${name}.csv`, csv([[xWords, ...lines.map((line) => line.words)], ...x.map((at, i) => [at, ...lines.map((line) => line.values[i])])]), "text/csv"),
  }} />`}
  </figure>`;
}

function path(x, values, px, py) {
  let isGap = true, drawn = "";
  values.forEach((value, i) => {
    if (Number.isFinite(value)) drawn += `${isGap ? "M" : "L"}${px(x[i]).toFixed(1)} ${py(value).toFixed(1)}`;
    isGap = !Number.isFinite(value);
  });
  return drawn;
}

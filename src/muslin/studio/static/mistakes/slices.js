// The accuracy of slices: by decision, by confidence, and by what else the data say of each image.

import { ask } from "/static/api.js";
import { Load, Table } from "/static/components/index.js";
import { html } from "/static/html.js";
import { link } from "/static/state.js";
import { count, signed, t } from "/static/texts.js";
import { Rate } from "./classes.js";
import { tSlice, tValue } from "./images.js";
import { NO_SELECTION } from "./selection.js";

export function Slices({ request }) {
  return html`<h2>${t("mistakes.view.slices")}</h2><p class="lead">${t("mistakes.slicesLead")}</p>
    <${Load} of=${request} from=${() => ask("/api/mistakes/slices", request)}>${({ slices }) => {
      const tables = Object.entries(slices).filter(([, rows]) => rows.length);
      return tables.length ? tables.map(([by, rows]) => html`<${SliceTable} key=${by} by=${by} rows=${rows} />`) : html`<p>${t("mistakes.noSlices")}</p>`;
    }}<//>`;
}

function SliceTable({ by, rows }) {
  const columns = [
    { name: "value", words: tSlice(by), cell: (row) => html`<a href=${link({ ...NO_SELECTION, slice: by, value: row.value, outcome: "errors" })}>${tValue(by, row.value)}</a>` },
    { name: "n", words: t("mistakes.support"), isNumber: true, cell: (row) => count(row.n) },
    { name: "accuracy", words: t("mistakes.accuracy"), isNumber: true, cell: (row) => html`<${Rate} value=${row.accuracy} interval=${row.accuracy_interval} />` },
    { name: "difference", words: t("mistakes.difference"), isNumber: true, cell: (row) => html`${points(row.difference)} <small class="soft">${points(row.difference_interval[0])} ${t("mistakes.to")} ${points(row.difference_interval[1])}</small>` },
    { name: "weak", words: "", cell: (row) => (row.weak ? html`<strong>${t("mistakes.weak")}</strong>` : "") },
  ];
  return html`<${Table} caption=${t("mistakes.by", { by: tSlice(by) })} columns=${columns} rows=${rows} rowKey=${(row) => row.value} />`;
}

/** A difference of shares in percentage points. */
export const points = (value) => signed(100 * value, Math.abs(value) < 0.1 ? 2 : 3);

// A table whose first column names the row; it scrolls within itself on a narrow screen.

import { classes, html } from "../html.js";

/**
 * `columns`: [{name, words, isNumber, cell(row)}], where `cell` is by default row[name]. A heading with `onsort(name)`
 * is a button; `sorted`: {name, descending}. `rowKey(row)` is unique.
 */
export function Table({ caption, columns, rows, rowKey, onsort, sorted }) {
  return html`<div class="wide" role="region" tabindex="0" aria-label=${caption}><table class="datatable">
    <caption>${caption}</caption>
    <thead><tr>${columns.map((column) => html`<th scope="col" key=${column.name} class=${classes(column.isNumber && "number")} aria-sort=${sorted?.name === column.name ? (sorted.descending ? "descending" : "ascending") : null}>
      ${onsort ? html`<button type="button" class="link" onclick=${() => onsort(column.name)}>${column.words}${sorted?.name === column.name ? (sorted.descending ? " ↓" : " ↑") : ""}</button>` : column.words}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${rowKey?.(row)}>${columns.map((column, i) => {
    const shown = column.cell ? column.cell(row) : row[column.name];
    return i ? html`<td class=${classes(column.isNumber && "number")}>${shown}</td>` : html`<th scope="row">${shown}</th>`;
  })}</tr>`)}</tbody></table></div>`;
}

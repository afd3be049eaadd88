// The confusion matrix: one tab stop, arrows inside; a cell, a row or a column opens its images.

import { Choice, Switch } from "/static/components/index.js";
import { Component, classes, createRef, html } from "/static/html.js";
import { set } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";

const MAX_CLASSES = 60; // of more, those with the most mistakes are shown
const STRONGEST = 0.42; // of a cell's colour

export class Matrix extends Component {
  constructor() {
    super();
    this.table = createRef();
    this.state = { row: 0, column: 0 };
  }

  /** The classes that are shown, in order: indices. */
  get order() {
    const { found, target, state } = this.props;
    const all = state.matrix.order === "data" ? target.classes.map((_, i) => i) : state.matrix.order === "support" ? bySupport(found) : found.order;
    if (all.length <= MAX_CLASSES) return all;
    const mistakes = new Map(all.map((i) => [i, 0]));
    for (const [row, column, n] of found.cells) if (row !== column) for (const i of [row, column]) mistakes.set(i, mistakes.get(i) + n);
    const kept = new Set([...all].sort((a, b) => mistakes.get(b) - mistakes.get(a)).slice(0, MAX_CLASSES));
    return all.filter((i) => kept.has(i));
  }

  option(name, value) {
    set({ matrix: { ...this.props.state.matrix, [name]: value } });
  }

  open(row, column) {
    const { target } = this.props, order = this.order, name = (i) => (i < 0 ? "" : target.classes[order[i]]);
    const isRim = row < 0 || column < 0;
    set({ label: name(row), predicted: name(column), outcome: isRim ? "errors" : "", why: "" }, true);
  }

  focus(row, column) {
    this.setState({ row, column }, () => this.table.current.querySelector(`[data-at="${row},${column}"]`)?.focus());
  }

  keydown = (event) => {
    const last = this.order.length - 1, { row, column } = this.state;
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const to = step ? [row + step[0], column + step[1]] : event.key === "Home" ? [row, 0] : event.key === "End" ? [row, last] : null;
    if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [y, x] = to.map((value) => Math.min(Math.max(value, -1), last));
    if (y >= 0 || x >= 0) this.focus(y, x);
  };

  render({ found, target, state }) {
    const order = this.order, { share = false, diagonal = true } = state.matrix, counts = new Map(), sums = found.classes.map((one) => one.support);
    for (const [row, column, n] of found.cells) counts.set(row * target.classes.length + column, n);
    const at = (row, column) => counts.get(row * target.classes.length + column) || 0;
    const shown = (row, column) => (share ? at(row, column) / (sums[row] || 1) : at(row, column));
    let strongest = 0;
    for (const row of order) for (const column of order) if (row !== column || diagonal) strongest = Math.max(strongest, shown(row, column));
    return html`<h2>${t("mistakes.view.matrix")}</h2><p class="lead">${t("mistakes.matrixLead")}</p>
      <div class="toolbar">
        <${Choice} legend=${t("mistakes.cells")} name="cells" choices=${[["count", t("mistakes.counts")], ["share", t("mistakes.shares")]]} value=${share ? "share" : "count"} onchange=${(value) => this.option("share", value === "share")} />
        <${Choice} legend=${t("mistakes.order")} name="order" choices=${["similar", "data", "support"].map((name) => [name, t(`mistakes.order.${name}`)])} value=${state.matrix.order || "similar"} onchange=${(value) => this.option("order", value)} />
        <${Switch} label=${t("mistakes.diagonal")} checked=${diagonal} onchange=${(value) => this.option("diagonal", value)} />
      </div>
      ${order.length < target.classes.length && html`<p class="soft">${t("mistakes.someClasses", { n: order.length, of: target.classes.length })}</p>`}
      <div class="wide" role="region" aria-label=${t("mistakes.view.matrix")}>
      <table class="confusion" ref=${this.table} role="grid" aria-label=${t("mistakes.view.matrix")} onkeydown=${this.keydown}>
        <thead><tr role="row"><th class="corner" role="columnheader"><span>${t("mistakes.label")} ↓</span> <span>${t("mistakes.predicted")} →</span></th>
          ${order.map((column, x) => html`<th key=${column} role="columnheader" class="columnname">${this.name(-1, x, target.classes[column], !state.label && state.predicted === target.classes[column])}</th>`)}</tr></thead>
        <tbody>${order.map((row, y) => html`<tr key=${row} role="row"><th role="rowheader">${this.name(y, -1, target.classes[row], !state.predicted && state.label === target.classes[row])}</th>
          ${order.map((column, x) => this.cell(y, x, { row, column, n: at(row, column), share: at(row, column) / (sums[row] || 1), strength: shown(row, column) / (strongest || 1), asShare: share, isHidden: row === column && !diagonal }))}</tr>`)}</tbody>
      </table></div>`;
  }

  /** The header of a row or a column, which opens its mistakes. */
  name(y, x, words, isOpen) {
    return html`<button type="button" data-at=${`${y},${x}`} tabindex=${this.tabindex(y, x)} aria-pressed=${isOpen} onfocus=${() => this.setState({ row: y, column: x })}
      title=${words} aria-label=${t(y < 0 ? "mistakes.openColumn" : "mistakes.openRow", { class: words })} onclick=${() => this.open(y, x)}><span>${words}</span></button>`;
  }

  cell(y, x, { row, column, n, share, strength, asShare, isHidden }) {
    const { target, state } = this.props, label = target.classes[row], predicted = target.classes[column];
    const isOpen = state.label === label && state.predicted === predicted;
    const words = t("mistakes.cellWords", { label, predicted, n: count(n), percent: percent(share) });
    const colour = isHidden || !n ? null : { "--strength": `${Math.round(100 * STRONGEST * Math.sqrt(strength))}%` };
    return html`<td key=${column} role="gridcell" class=${classes(row === column && "right")} style=${colour}>
      <button type="button" data-at=${`${y},${x}`} tabindex=${this.tabindex(y, x)} aria-pressed=${isOpen} aria-label=${words} title=${words}
        onfocus=${() => this.setState({ row: y, column: x })} onclick=${() => this.open(y, x)}>${isHidden ? "" : n === 0 ? html`<span class="none">·</span>` : asShare ? percent(share, share < 0.1 ? 1 : 0) : count(n)}</button></td>`;
  }

  tabindex(y, x) {
    return y === this.state.row && x === this.state.column ? 0 : -1;
  }
}

const bySupport = (found) => found.classes.map((_, i) => i).sort((a, b) => found.classes[b].support - found.classes[a].support);

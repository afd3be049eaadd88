// Numbers that belong to a drawing: its legend, a table of its values, small windows with their numbers, and saving.

import { colourOf, css, inkOn, scaleOf } from "/static/colour.js";
import { Component, classes, html } from "/static/html.js";
import { number, t } from "/static/texts.js";
import { Button } from "/static/components/controls.js";

/** The colours of a scale from low to high with their numbers, and what they are: `unit`, such as "activation". */
export function Legend({ scale, unit = "", digits = 3, isHatched = true }) {
  const stops = Array.from({ length: 9 }, (_, i) => `${css(scale.colours[Math.round(i * 255 / 8)])} ${i * 12.5}%`).join(",");
  return html`<div class="legend">
    <span class="number">${number(scale.low, digits)}</span>
    <span class=${classes("ramp", scale.signed && "signed")} style=${{ backgroundImage: `linear-gradient(90deg,${stops})` }} aria-hidden="true"></span>
    <span class="number">${number(scale.high, digits)}</span>
    ${unit && html`<span class="unit">${unit}</span>`}
    ${scale.signed && isHatched && html`<span class="soft hatched">${t("hatched")}</span>`}
  </div>`;
}

const SIDE = 16; // rows and columns of a table at a time

/**
 * The numbers of a map, 16 × 16 at a time around the mark; folded at first. `at` is the mark as [row, column];
 * `numbers(top, left, height, width)` gives exact values, or a promise of them; `of` changes where the values do.
 */
export class ValueTable extends Component {
  state = { top: 0, left: 0 };

  componentDidUpdate(before) {
    if (this.state.isOpen && before.of !== this.props.of) this.load(this.state.top, this.state.left);
  }

  toggled = (event) => {
    const isOpen = event.target.open, { at: [y, x], rows, columns } = this.props;
    if (isOpen === Boolean(this.state.isOpen)) return;
    this.setState({ isOpen });
    if (isOpen) this.load(Math.max(0, Math.min(y - SIDE / 2, rows - SIDE)), Math.max(0, Math.min(x - SIDE / 2, columns - SIDE)));
  };

  async load(top, left) {
    const { rows, columns, numbers } = this.props;
    try { this.setState({ values: await numbers(top, left, Math.min(SIDE, rows), Math.min(SIDE, columns)), top, left, error: "" }); } catch (error) { this.setState({ error: error.message }); }
  }

  render({ rows, columns, label }, { isOpen, values, top, left, error }) {
    const arrow = (words, sign, down, right, off) => html`<${Button} kind="quiet" aria-label=${words} disabled=${off}
      onclick=${() => this.load(Math.max(0, Math.min(top + down, rows - SIDE)), Math.max(0, Math.min(left + right, columns - SIDE)))}>${sign}<//>`;
    return html`<details class="valuetable" ontoggle=${this.toggled}><summary>${t("values")}</summary>
      <div class="wide" role="region" tabindex="0" aria-label=${t("valuesOf", { what: label })}>
        ${error && html`<p class="error">${error}</p>`}
        ${isOpen && values && html`${(rows > SIDE || columns > SIDE) && html`<p class="pager">
          ${arrow(t("above"), "↑", -SIDE, 0, top <= 0)}${arrow(t("below"), "↓", SIDE, 0, top + SIDE >= rows)}
          ${arrow(t("toLeft"), "←", 0, -SIDE, left <= 0)}${arrow(t("toRight"), "→", 0, SIDE, left + SIDE >= columns)}</p>`}
        <table class="values"><caption>${label}</caption>
          <thead><tr><th scope="col"><span class="visuallyhidden">${t("row")}</span></th>${values[0].map((_, j) => html`<th scope="col">${left + j + 1}</th>`)}</tr></thead>
          <tbody>${values.map((row, i) => html`<tr><th scope="row">${top + i + 1}</th>${row.map((value) => html`<td>${number(value, 3)}</td>`)}</tr>`)}</tbody></table>`}
      </div></details>`;
  }
}

/**
 * Values as cells with their numbers in them: small windows and kernels. `null` is padding; `winner` is the [row,
 * column] of one that is marked; `input(y, x, value)` gives a field instead of the number.
 */
export function Cells({ values, scale, label, digits = 3, input, tight = false, winner }) {
  const flat = values.flat().filter((value) => value !== null);
  const found = scale || scaleOf(Math.min(...flat, 0), Math.max(...flat, 0));
  return html`<table class=${classes("cells", tight && "tight")}><caption class="visuallyhidden">${label}</caption>
    <tbody>${values.map((row, y) => html`<tr>${row.map((value, x) => {
    if (value === null) return html`<td class="outside" title=${t("paddingZero")}>0</td>`;
    const colour = colourOf(value, found);
    return html`<td class=${classes(value < 0 && "negative", winner?.[0] === y && winner[1] === x && "winner")} style=${{ backgroundColor: css(colour), color: inkOn(colour) }}>${input ? input(y, x, value) : number(value, digits)}</td>`;
  })}</tr>`)}</tbody></table>`;
}

/** A weight in a grid of weights. Its number is short until it is edited, so that it fits its cell. */
export class WeightField extends Component {
  render({ value, onchange, live = false, label, ...rest }, { typed }) {
    const take = (event) => {
      const text = event.target.value, found = Number(text);
      if (text.trim() !== "" && Number.isFinite(found) && found !== value) onchange(found);
    };
    return html`<input type="text" inputmode="decimal" class="weight" aria-label=${label} value=${typed ?? shortWeight(value)}
      onfocus=${(event) => { this.setState({ typed: String(Number(value.toPrecision(6))) }); requestAnimationFrame(() => event.target.select?.()); }}
      oninput=${(event) => { this.setState({ typed: event.target.value }); if (live) take(event); }}
      onchange=${take} onblur=${() => this.setState({ typed: undefined })}
      onkeydown=${(event) => { if (event.key === "Enter") take(event); }} ...${rest} />`;
  }
}

const shortWeight = (value) => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
  return value && Math.abs(value) < 0.0005 ? value.toExponential(0) : String(Number(value.toFixed(digits)));
};

/** Buttons for saving; `ways` maps PNG, SVG, CSV or .npy to what makes and saves the file. */
export function Savers({ ways }) {
  return html`<p class="savers">${t("save")}${Object.entries(ways).map(([kind, act]) => html`<${Button} kind="quiet" aria-label=${t("saveAs", { kind })} onclick=${act}>${kind}<//>`)}</p>`;
}

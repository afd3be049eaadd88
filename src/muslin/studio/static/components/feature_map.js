// One map of values, large: a feature map, an attribution, an image. One tab stop; pointer and arrow keys move a mark.

import { announce } from "/static/dom.js";
import { Component, createRef, html } from "/static/html.js";
import { coloured, paintLarge, screenRatio } from "/static/painting.js";
import { csv, download, npy, png } from "/static/save.js";
import { number, t } from "/static/texts.js";
import { Legend, Savers, ValueTable } from "./values.js";

const MAX_CELL_PX = 48;
const VALUES_AT_A_TIME = 4096; // that the server gives

/**
 * `values`: rows × columns numbers with their `scale`; `unit` says what they are. `at`: [row, column] of the mark;
 * `point(y, x, how)` is called as it moves, `how` being "over", "click" or "key"; `choose(y, x)` on click and Enter.
 * `numbers(top, left, height, width)` gives exact values where `values` are not (may be a promise). `window`: {top,
 * left, rows, columns} is framed. `name` is that of saved files.
 */
export class FeatureMap extends Component {
  constructor(props) {
    super(props);
    const [y, x] = props.at || [-1, -1];
    this.state = { y, x };
    this.canvas = createRef();
    this.board = createRef();
  }

  componentDidMount() {
    this.draw();
  }

  componentDidUpdate(before) {
    const { values, scale, rows, columns, width, at } = this.props;
    if (before.values !== values || before.scale.low !== scale.low || before.scale.high !== scale.high || before.rows !== rows || before.columns !== columns || before.width !== width) this.draw();
    if (at && (before.at?.[0] !== at[0] || before.at?.[1] !== at[1])) this.setState({ y: at[0], x: at[1] });
  }

  get cell() {
    const { rows, columns, width = 420 } = this.props;
    return Math.max(1, Math.min(Math.floor(width / columns), Math.floor(1.2 * width / rows), MAX_CELL_PX));
  }

  draw() {
    const { values, rows, columns, scale } = this.props;
    paintLarge(this.canvas.current, values, rows, columns, scale, this.cell, screenRatio());
  }

  focus() {
    this.board.current.focus({ preventScroll: true });
  }

  valueText(y, x) {
    const { values, columns, isExact = false } = this.props;
    return `${t("rowColumn", { row: y + 1, column: x + 1 })}: ${isExact ? "" : "≈ "}${number(values[y * columns + x], isExact ? 5 : 3)}`;
  }

  move(y, x, how) {
    if (how === "over" && y === this.state.y && x === this.state.x) return;
    this.setState({ y, x });
    if (how === "key") announce(this.valueText(y, x));
    this.props.point?.(y, x, how);
  }

  under(event) {
    const box = this.board.current.getBoundingClientRect(), { rows, columns } = this.props;
    const clamp = (value, count) => Math.min(Math.max(Math.floor(value), 0), count - 1);
    return [clamp((event.clientY - box.top) / box.height * rows, rows), clamp((event.clientX - box.left) / box.width * columns, columns)];
  }

  clicked = (event) => {
    const [y, x] = this.under(event);
    this.move(y, x, "click");
    this.props.choose?.(y, x);
  };

  keydown = (event) => {
    const { rows, columns, choose } = this.props, { y, x } = this.state;
    const far = event.shiftKey ? 10 : 1;
    const step = { ArrowLeft: [0, -far], ArrowRight: [0, far], ArrowUp: [-far, 0], ArrowDown: [far, 0] }[event.key];
    const to = step ? [y + step[0], x + step[1]] : event.key === "Home" ? [0, 0] : event.key === "End" ? [rows - 1, columns - 1] : null;
    if (to) this.move(Math.min(Math.max(to[0], 0), rows - 1), Math.min(Math.max(to[1], 0), columns - 1), "key");
    else if ((event.key === "Enter" || event.key === " ") && choose && y >= 0) choose(y, x);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  focused = () => {
    const { rows, columns } = this.props;
    if (this.state.y < 0) this.move(Math.floor(rows / 2), Math.floor(columns / 2), "key");
  };

  /** Exact values of a part of the map. */
  numbers = (top, left, height, width) => {
    const { values, columns, numbers } = this.props;
    if (numbers) return numbers(top, left, height, width);
    return Array.from({ length: height }, (_, i) => Array.from({ length: width }, (__, j) => values[(top + i) * columns + left + j]));
  };

  async all() {
    const { rows, columns } = this.props, height = Math.max(1, Math.floor(VALUES_AT_A_TIME / columns)), found = [];
    for (let top = 0; top < rows; top += height) found.push(...await this.numbers(top, 0, Math.min(height, rows - top), columns));
    return found;
  }

  get ways() {
    const { values, rows, columns, scale, name = "map" } = this.props;
    return {
      PNG: async () => download(`${name}.png`, await png(coloured(values, rows * columns, scale), columns, rows, Math.max(1, Math.floor(512 / columns))), "image/png"),
      CSV: async () => download(`${name}.csv`, csv(await this.all()), "text/csv"),
      ".npy": async () => download(`${name}.npy`, npy((await this.all()).flat(), [rows, columns]), "application/octet-stream"),
    };
  }

  render({ values, rows, columns, scale, unit, label, window, children }, { y, x }) {
    const isMarked = y >= 0 && y < rows && x >= 0 && x < columns;
    return html`<figure class="mapfigure">
      <div class="map" tabindex="0" role="application" aria-label=${label} aria-roledescription=${t("mapRole")} ref=${this.board}
        style=${{ "--w": `${this.cell * columns}px`, aspectRatio: `${columns} / ${rows}` }}
        onpointermove=${(event) => this.move(...this.under(event), "over")} onclick=${this.clicked} onkeydown=${this.keydown} onfocus=${this.focused}>
        <canvas aria-hidden="true" ref=${this.canvas}></canvas>
        <svg viewBox=${`0 0 ${columns} ${rows}`} preserveAspectRatio="none" aria-hidden="true">
          ${window && html`<${Frame} kind="window" y=${window.top} x=${window.left} height=${window.rows} width=${window.columns} />`}
          ${isMarked && html`<${Frame} kind="mark" y=${y} x=${x} height="1" width="1" />`}
        </svg>
      </div>
      <p class="readout number">${isMarked ? this.valueText(y, x) : " "}</p>
      <${Legend} scale=${scale} unit=${unit} />
      ${children}
      <${ValueTable} rows=${rows} columns=${columns} label=${label} at=${[Math.max(y, 0), Math.max(x, 0)]} of=${values} numbers=${this.numbers} />
      <${Savers} ways=${this.ways} />
    </figure>`;
  }
}

/** A frame that stands out from dark and from light: a dark line on a light one. */
function Frame({ kind, y, x, height, width }) {
  return ["halo", "upper"].map((line) => html`<rect class=${`${kind} ${line}`} y=${y} x=${x} height=${height} width=${width} />`);
}

// What the steps of the walk share: an image, a prediction, a task, and the grid of pixels.

import { announce } from "/static/dom.js";
import { Component, createRef, html } from "/static/html.js";
import { percent, t } from "/static/texts.js";
import { pixels, thumbnail } from "./requests.js";

const CLASSES_SHOWN = 4;
const MAX_GRID_PX = 64; // a larger image is shown smaller, so that a person can point at a pixel
const AROUND = 2; // rows and columns beside the pixel whose numbers are listed

/** The names of images to walk with: labelled ones of the run, or the model's golden images. */
export const imageNames = (model, walk, indices) => (walk.examples ? indices.map((i) => `example:${i}`) : indices.map((i) => `golden:${i % model.golden_images}`));

export function WalkImage({ model, image, side = 112, words = "" }) {
  return html`<img class=${model.input[0] <= 64 ? "small" : null} src=${thumbnail(model.path, image, side)} width=${side} height=${side} alt=${words} />`;
}

/** The most probable classes of a prediction as bars; `marked` is the label, if it is known. */
export function Bars({ caption, probabilities, marked }) {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]).slice(0, CLASSES_SHOWN);
  return html`<figure class="walkbars"><figcaption>${caption}</figcaption><ul class="bars">${sorted.map(([name, p]) => html`
    <li key=${name}><span class="name">${name}${name === marked && html` <small>${t("walk.theLabel")}</small>`}</span><span class="bar" aria-hidden="true"><i style=${{ width: `${100 * p}%` }}></i></span><span class="number">${percent(p)}</span></li>`)}</ul></figure>`;
}

/** The one thing to do. */
export function Task({ children, text, done }) {
  return html`<section class="panel task" aria-label=${t("walk.yourTurn")}><h2>${t("walk.yourTurn")}${done && html` <span class="soft">✓ ${t("walk.done")}</span>`}</h2><p>${text}</p>${children}</section>`;
}

/** An image as its pixels: one tab stop, arrows move, and the numbers around the pixel are listed. */
export class PixelGrid extends Component {
  constructor() {
    super();
    this.canvas = createRef();
    this.state = { at: null, found: null, error: null };
  }

  componentDidMount() { this.load(); }

  componentDidUpdate(before) {
    if (before.image !== this.props.image) this.load();
  }

  async load() {
    const { model, image } = this.props;
    const asked = this.asked = {};
    try {
      const { header, data } = await pixels({ model: model.path, image }, MAX_GRID_PX);
      if (this.asked === asked) this.setState({ found: { ...header, data }, at: [header.rows >> 1, header.columns >> 1], error: null }, () => this.draw());
    } catch (error) { this.setState({ error }); }
  }

  draw() {
    const { rows, columns, channels, data } = this.state.found;
    const context = this.canvas.current.getContext("2d"), drawn = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const rgb = channels === 3 ? data.subarray(3 * i, 3 * i + 3) : [data[i], data[i], data[i]];
      drawn.data.set([...rgb, 255], 4 * i);
    }
    context.putImageData(drawn, 0, 0);
  }

  valueAt(row, column) {
    const { columns, channels, data } = this.state.found, i = (row * columns + column) * channels;
    return channels === 3 ? `${data[i]} ${data[i + 1]} ${data[i + 2]}` : String(data[i]);
  }

  words([row, column]) {
    return t("walk.pixelAt", { row: row + 1, column: column + 1, value: this.valueAt(row, column) });
  }

  move(row, column) {
    const { rows, columns } = this.state.found;
    const at = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
    this.setState({ at });
    announce(this.words(at));
  }

  pointed = (event) => {
    const box = this.canvas.current.getBoundingClientRect(), { rows, columns } = this.state.found;
    this.setState({ at: [Math.min(rows - 1, Math.floor((event.clientY - box.top) / box.height * rows)), Math.min(columns - 1, Math.floor((event.clientX - box.left) / box.width * columns))] });
  };

  pressed = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || !this.state.at) return;
    event.preventDefault();
    this.move(this.state.at[0] + step[0], this.state.at[1] + step[1]);
  };

  render({ model, words }, { found, at, error }) {
    if (error) return html`<p class="error" role="alert">${error.message}</p>`;
    if (!found) return html`<p class="soft">${t("loading")}</p>`;
    const { rows, columns } = found;
    const box = at && { left: `${100 * at[1] / columns}%`, top: `${100 * at[0] / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` };
    return html`<div class="pixelgrid">
      <div class="drawingboard" tabindex="0" role="application" aria-roledescription=${t("mapRole")} aria-label=${words} onkeydown=${this.pressed} onpointermove=${this.pointed} onpointerdown=${this.pointed}>
        <canvas ref=${this.canvas} width=${columns} height=${rows} aria-hidden="true"></canvas>${at && html`<span class="cursor" style=${box} aria-hidden="true"></span>`}</div>
      ${at && html`<div><p class="number">${this.words(at)}</p>${this.around(at)}
        ${rows < model.input[0] && html`<p class="soft">${t("walk.shrunk", { rows, columns })}</p>`}</div>`}
    </div>`;
  }

  around([row, column]) {
    const { rows, columns, channels } = this.state.found;
    if (channels !== 1) return null;
    const near = (middle, end) => Array.from({ length: 2 * AROUND + 1 }, (_, i) => middle - AROUND + i).filter((i) => i >= 0 && i < end);
    return html`<table class="values"><caption>${t("walk.numbersAround")}</caption><tbody>${near(row, rows).map((y) => html`<tr>${near(column, columns).map((x) => html`<td class=${y === row && x === column ? "here" : null}>${this.valueAt(y, x)}</td>`)}</tr>`)}</tbody></table>`;
  }
}

// A board to draw an image on, which is classified while one draws. The drawing travels in the address.

import { ask } from "/static/api.js";
import { Button, Choice } from "/static/components/index.js";
import { announce, latest } from "/static/dom.js";
import { Component, createRef, html } from "/static/html.js";
import { percent, t } from "/static/texts.js";
import { base64url } from "./image_sources.js";

const SIDE = 28, MAX_OWN_PX = 64; // px: of a drawing for a larger network, and of the largest network that takes its own size
const CLASSES_SHOWN = 5;

export class DrawingBoard extends Component {
  constructor(props) {
    super(props);
    const [height, width] = props.model.input;
    this.side = height === width && height <= MAX_OWN_PX ? height : SIDE;
    this.ink = new Uint8Array(this.side * this.side);
    this.brush = this.side > 40 ? 2.2 : 1.3; // px
    this.state = { at: [this.side >> 1, this.side >> 1], light: 255, predictions: null };
    this.canvas = createRef();
    this.board = createRef();
    this.predict = latest(() => this.ask());
  }

  componentDidMount() {
    this.draw();
  }

  componentWillUnmount() {
    this.isGone = true;
  }

  get image() { return `drawing:${base64url(this.ink)}`; }
  get isEmpty() { return !this.ink.some((value) => value); }

  async ask() {
    if (this.isGone) return;
    if (this.isEmpty) { this.setState({ predictions: null }); return; }
    try {
      const { predictions } = await ask("/api/predict", { inspection: { model: this.props.model.path, image: this.image } });
      if (!this.isGone) this.setState({ predictions });
    } catch (error) { if (!this.isGone) this.props.fail(error.message); }
  }

  dot(y, x) {
    const { side, brush, ink } = this, reach = Math.ceil(brush) + 1;
    for (let row = Math.max(0, Math.floor(y) - reach); row < Math.min(side, y + reach); row++) {
      for (let column = Math.max(0, Math.floor(x) - reach); column < Math.min(side, x + reach); column++) {
        const far = Math.hypot(row + 0.5 - y, column + 0.5 - x), part = Math.min(Math.max(brush + 0.5 - far, 0), 1), i = row * side + column;
        ink[i] = this.state.light ? Math.max(ink[i], Math.round(255 * part)) : Math.min(ink[i], Math.round(255 * (1 - part)));
      }
    }
  }

  stroke = (event) => {
    const box = this.board.current.getBoundingClientRect();
    const y = (event.clientY - box.top) / box.height * this.side, x = (event.clientX - box.left) / box.width * this.side;
    const from = this.last || [y, x], steps = Math.max(1, Math.ceil(2 * Math.hypot(y - from[0], x - from[1])));
    for (let i = 1; i <= steps; i++) this.dot(from[0] + (y - from[0]) * i / steps, from[1] + (x - from[1]) * i / steps);
    this.last = [y, x];
    this.draw();
  };

  draw() {
    const { side, ink } = this, context = this.canvas.current.getContext("2d"), image = context.createImageData(side, side);
    for (let i = 0; i < ink.length; i++) image.data.set([ink[i], ink[i], ink[i], 255], 4 * i);
    context.putImageData(image, 0, 0);
    this.predict();
  }

  keydown = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const isDot = event.key === " " || event.key === "Enter";
    if (!step && !isDot) return;
    event.preventDefault();
    const clamp = (value) => Math.min(Math.max(value, 0), this.side - 1);
    const at = step ? [clamp(this.state.at[0] + step[0]), clamp(this.state.at[1] + step[1])] : this.state.at;
    if (isDot || event.shiftKey) {
      this.dot(at[0] + 0.5, at[1] + 0.5);
      this.draw();
    }
    if (step) announce(`${t("rowColumn", { row: at[0] + 1, column: at[1] + 1 })}: ${this.ink[at[0] * this.side + at[1]]}`);
    this.setState({ at });
  };

  finish = () => {
    if (this.isEmpty) this.props.fail(t("drawingEmpty"));
    else this.props.use(this.image);
  };

  clear = () => {
    this.ink.fill(0);
    this.draw();
  };

  render({ model }, { at, light, predictions }) {
    const share = `${100 / this.side}%`;
    return html`<p class="soft">${t("drawingHelp", { side: this.side })}</p>
      <div class="drawingroom"><div class="drawingboard" tabindex="0" role="application" aria-label=${t("drawingBoard", { side: this.side })} aria-roledescription=${t("mapRole")} ref=${this.board} onkeydown=${this.keydown}
          onpointerdown=${(event) => { this.isDown = true; this.board.current.setPointerCapture(event.pointerId); this.stroke(event); }} onpointermove=${(event) => { if (this.isDown) this.stroke(event); }}
          onpointerup=${() => { this.isDown = false; this.last = null; }}>
          <canvas width=${this.side} height=${this.side} aria-hidden="true" ref=${this.canvas}></canvas>
          <span class="cursor" aria-hidden="true" style=${{ left: `${100 * at[1] / this.side}%`, top: `${100 * at[0] / this.side}%`, width: share, height: share }}></span></div>
        <div class="drawingprediction" role="status">${predictions ? model.targets.map((target) => html`<${Prediction} key=${target.name} target=${target} found=${predictions[target.name]} isNamed=${model.targets.length > 1} />`) : html`<p class="soft">${t("model.drawingPredicts")}</p>`}</div></div>
      <${Choice} legend=${t("brush")} name="brush" value=${light} onchange=${(value) => this.setState({ light: value })} choices=${[[255, t("brush.draw")], [0, t("brush.erase")]]} />
      <p class="buttons"><${Button} kind="main" onclick=${this.finish}>${t("useDrawing")}<//><${Button} onclick=${this.clear}>${t("clear")}<//></p>`;
  }
}

function Prediction({ target, found, isNamed }) {
  const order = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, CLASSES_SHOWN);
  return html`${isNamed && html`<h3>${target.name}</h3>`}<p class="verdict"><strong>${found.label}</strong> <span class="number">${percent(found.probability)}</span></p>
    <ul class="bars" aria-hidden="true">${order.map(([name, p]) => html`<li key=${name} class="barrow"><span class="name">${name}</span><span class="bar"><i style=${{ width: `${100 * p}%` }}></i></span><span class="number">${percent(p)}</span></li>`)}</ul>`;
}

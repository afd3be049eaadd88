// The map by similarity: each point is an image, similar ones are near each other. A lasso selects.

import { packedNow } from "/static/api.js";
import { announce } from "/static/dom.js";
import { Load } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { count, t, tn } from "/static/texts.js";
import { ComparingJob } from "./comparing_job.js";
import { LabelPanel, decidedBy } from "./label_panel.js";
import { PhotoGrid } from "./photo_grid.js";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8d8578"]; // Okabe and Ito, for all kinds of colour vision
const SHAPES = 3; // with the colours 21 marks; classes beyond them share one
const BRUSH = 0.04, STEP = 0.03;

export class SimilarityMap extends Component {
  again = () => this.setState({ done: (this.state.done ?? 0) + 1 });

  /** The first view is shown while the job goes on, which puts the final map in its place. */
  render({ session, state }, { done = 0 }) {
    const from = async () => {
      try { return await packedNow("/api/data/map", { data: session.about.data, run: session.run || null }); } catch (error) { if (error.code === "map_missing") return null; throw error; }
    };
    return html`<${Load} of=${[session.about.data, session.run, done]} from=${from}>${(found) => html`
      ${(!found || found.header.is_first) && html`<${ComparingJob} key="job" session=${session} isDrawn=${Boolean(found)} ondrawn=${this.again} ondone=${this.again} />`}
      ${found && html`<${Points} key="points" session=${session} state=${state} found=${found} />`}`}<//>`;
  }
}

class Points extends Component {
  constructor() {
    super();
    this.canvas = createRef();
    this.lasso = [];
    this.cursor = [0.5, 0.5];
    this.state = { picked: new Int32Array(0) };
  }

  componentDidMount() {
    this.props.session.refresh(Array.from({ length: this.props.found.header.n }, (_, n) => this.at(n)[0]));
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.canvas.current);
  }

  componentDidUpdate() { this.paint(); }
  componentWillUnmount() { this.observer.disconnect(); }

  at(n) { return this.props.found.data.subarray(3 * n, 3 * n + 3); }

  paint() {
    const canvas = this.canvas.current, ratio = globalThis.devicePixelRatio || 1, side = canvas.clientWidth;
    if (!side) return;
    const pixels = Math.round(side * ratio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    const context = canvas.getContext("2d"), picked = new Set(this.state.picked), { session, found } = this.props;
    context.setTransform(pixels, 0, 0, pixels, 0, 0);
    context.clearRect(0, 0, 1, 1);
    const size = 3.2 / side;
    for (let n = 0; n < found.header.n; n++) {
      const [index, x, y] = this.at(n), label = session.rows.get(index)?.label, number = Array.isArray(label) ? label[0] ?? -1 : label ?? -1;
      context.globalAlpha = picked.size && !picked.has(index) ? 0.25 : 0.9;
      context.fillStyle = number < 0 ? "#8d8578" : COLOURS[number % COLOURS.length];
      mark(context, inside(x), inside(y), size, Math.floor(Math.max(0, number) / COLOURS.length) % SHAPES);
    }
    context.globalAlpha = 1;
    context.lineWidth = 1.5 / side;
    context.strokeStyle = getComputedStyle(canvas).color;
    if (this.lasso.length > 1) trace(context, this.lasso);
    if (document.activeElement === canvas) { context.beginPath(); context.arc(...this.cursor, BRUSH, 0, 7); context.stroke(); }
  }

  place(event) {
    const box = this.canvas.current.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  down = (event) => {
    this.canvas.current.setPointerCapture(event.pointerId);
    this.lasso = [this.place(event)];
  };

  move = (event) => {
    if (!this.lasso.length) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) this.lasso.push(this.place(one));
    this.paint();
  };

  up = (event) => {
    const lasso = this.lasso;
    this.lasso = [];
    if (lasso.length > 3) this.pick(([, x, y]) => isWithin(lasso, inside(x), inside(y)), event.shiftKey);
    else if (lasso.length) this.pick(([, x, y]) => Math.hypot(inside(x) - lasso[0][0], inside(y) - lasso[0][1]) < BRUSH / 3, event.shiftKey);
  };

  pick(isPicked, more) {
    const found = new Set(more ? this.state.picked : []);
    for (let n = 0; n < this.props.found.header.n; n++) if (isPicked(this.at(n))) found.add(this.at(n)[0]);
    this.setState({ picked: Int32Array.from(found) });
    this.props.session.choose([...found]);
    announce(tn("data.selected", found.size));
  }

  /** With the arrows a circle moves; Space selects what is in it, as well as what is selected. */
  mapKey = (event) => {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (step) this.cursor = this.cursor.map((value, n) => Math.min(1, Math.max(0, value + step[n])));
    else if (event.key === " ") this.pick(([, x, y]) => Math.hypot(inside(x) - this.cursor[0], inside(y) - this.cursor[1]) <= BRUSH, true);
    else if (event.key === "Escape" && this.state.picked.length) { event.stopPropagation(); this.pick(() => false, false); }
    else return;
    event.preventDefault();
    this.paint();
  };

  render({ session, state, found }, { picked }) {
    const classes = session.target?.classes ?? [], { method, by, n } = found.header;
    return html`<div class="databench mapbench" onkeydown=${(event) => decidedBy(event, session)}>
      <div class="mapside"><p class="soft">${t("data.mapText", { n: count(n), method: method === "pca" ? "PCA" : "t-SNE", by: t(`data.by.${by}`) })}</p>
        <canvas ref=${this.canvas} class="datamap" tabindex="0" role="application" aria-label=${t("data.mapLabel")} onpointerdown=${this.down} onpointermove=${this.move} onpointerup=${this.up}
          onkeydown=${this.mapKey} onfocus=${() => this.paint()} onblur=${() => this.paint()}></canvas>
        <ul class="legend">${classes.slice(0, COLOURS.length * SHAPES).map((name, number) => html`<li key=${name}><${Key} number=${number} /> ${name}</li>`)}</ul></div>
      <div class="sheetside"><p class="soft" role="status">${tn("data.selected", picked.length)}</p>
        ${picked.length > 0 && html`<${PhotoGrid} id="picked" session=${session} order=${picked} size=${state.size} label=${t("data.selectedImages")} />`}</div>
      <${LabelPanel} session=${session} />
    </div>`;
  }
}

class Key extends Component {
  constructor() { super(); this.canvas = createRef(); }

  componentDidMount() {
    const context = this.canvas.current.getContext("2d"), { number } = this.props;
    context.fillStyle = COLOURS[number % COLOURS.length];
    mark(context, 7, 7, 5, Math.floor(number / COLOURS.length) % SHAPES);
  }

  render() { return html`<canvas ref=${this.canvas} width="14" height="14" aria-hidden="true"></canvas>`; }
}

const inside = (value) => 0.02 + 0.96 * value;

/** A disc, a square or a triangle, so that classes do not differ by colour alone. */
function mark(context, x, y, size, shape) {
  context.beginPath();
  if (shape === 0) context.arc(x, y, size, 0, 7);
  else if (shape === 1) context.rect(x - size, y - size, 2 * size, 2 * size);
  else [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]].forEach(([dx, dy], n) => context[n ? "lineTo" : "moveTo"](x + dx * size, y + dy * size));
  context.fill();
}

function trace(context, points) {
  context.beginPath();
  points.forEach((point, n) => context[n ? "lineTo" : "moveTo"](...point));
  context.stroke();
}

/** Whether a point lies within a closed line: a ray from it crosses the line an odd number of times. */
function isWithin(line, x, y) {
  let within = false;
  for (let n = 0, before = line.length - 1; n < line.length; before = n++) {
    const [x1, y1] = line[n], [x2, y2] = line[before];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) within = !within;
  }
  return within;
}

// The attribution over the image, and single feature maps, painted on canvases that are never read.

import { packed } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { Load } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { t } from "/static/texts.js";

const SIDE_PX = 320;
const LEAST = 0.06; // of the strongest cell, below which nothing is painted
const SIGNED_CELL_PX = 8; // cells from this size on carry a plus or a minus

/** Orange and plus: for the class. Blue and minus: against it. */
export class Overlay extends Component {
  constructor() {
    super();
    this.image = createRef();
    this.heat = createRef();
  }

  componentDidMount() {
    this.draw();
  }

  componentDidUpdate(before) {
    if (before.found !== this.props.found) this.draw();
  }

  async draw() {
    const { found, inspection } = this.props;
    paintCells(this.heat.current, found);
    const under = await packed("/api/pixels", { inspection, step: "model_input", max_px: 256 }).catch(() => null); // only the map is shown
    if (under && this.image.current && this.props.found === found) paintGray(this.image.current, under);
  }

  render({ found }) {
    return html`<div class="overlay" style=${{ aspectRatio: `${found.columns} / ${found.rows}` }}><canvas role="img" aria-label=${t("mistakes.overlay")} ref=${this.image}></canvas><canvas aria-hidden="true" ref=${this.heat}></canvas></div>`;
  }
}

function paintGray(canvas, { header, data }) {
  const { rows, columns, channels } = header;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i += 1) {
    for (let k = 0; k < 3; k += 1) image.data[4 * i + k] = 120 + 0.5 * data[i * channels + (channels === 3 ? k : 0)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function paintCells(canvas, { rows, columns, cells, range }) {
  const size = Math.max(1, Math.round(SIDE_PX / columns));
  canvas.width = columns * size;
  canvas.height = rows * size;
  const context = canvas.getContext("2d");
  cells.forEach((row, y) => row.forEach((value, x) => {
    const strength = Math.min(1, Math.abs(value) / (range || 1));
    if (strength < LEAST) return;
    context.globalAlpha = 0.85 * strength;
    context.fillStyle = value < 0 ? "rgb(33 102 172)" : "rgb(224 110 10)";
    context.fillRect(x * size, y * size, size, size);
    if (size < SIGNED_CELL_PX || strength < 0.25) return;
    context.globalAlpha = 1;
    context.fillStyle = "#000";
    const bar = Math.min(size * 0.4, 12);
    context.fillRect(x * size + (size - bar) / 2, y * size + size / 2 - 1, bar, 2);
    if (value > 0) context.fillRect(x * size + size / 2 - 1, y * size + (size - bar) / 2, 2, bar);
  }));
}

/** One feature map of a layer, in its own range. */
export function ChannelMap({ inspection, layer, channel }) {
  const request = { inspection, layer };
  return html`<${Load} of=${request} from=${() => packed("/api/feature-maps", request)} loading=${html`<span class="channelmap"></span>`}>${(sheet) => html`<${MapCanvas} sheet=${sheet} channel=${channel} />`}<//>`;
}

class MapCanvas extends Component {
  constructor() {
    super();
    this.canvas = createRef();
  }

  componentDidMount() {
    this.draw();
  }

  componentDidUpdate(before) {
    if (before.sheet !== this.props.sheet || before.channel !== this.props.channel) this.draw();
  }

  draw() {
    const { sheet: { header, data }, channel } = this.props, { rows, columns } = header, canvas = this.canvas.current;
    const low = header.low[channel], high = header.high[channel], scale = scaleOf(low, high), factor = (high - low) / 255;
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i += 1) {
      const value = low + factor * data[channel * rows * columns + i];
      const place = Math.round(255 * (value - scale.low) / (scale.high - scale.low));
      image.data.set([...scale.colours[Math.min(Math.max(place, 0), 255)].slice(0, 3), 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  }

  render() {
    return html`<canvas class="channelmap small" aria-hidden="true" ref=${this.canvas}></canvas>`;
  }
}

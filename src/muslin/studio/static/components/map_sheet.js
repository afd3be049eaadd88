// Many maps as tiles on one canvas. One tab stop; arrows go from tile to tile.

import { announce } from "/static/dom.js";
import { Component, createRef, html } from "/static/html.js";
import { paint, screenRatio } from "/static/painting.js";
import { t } from "/static/texts.js";

const GAP_PX = 4;

/**
 * `count` maps of `rows` × `columns`: `valuesOf(k)` are those of tile k, `scaleFor(k)` is its scale; `off` is a Set of
 * those that are crossed out. `chosen` is framed, and `choose(k)` is called by arrows and clicks. `of` changes where
 * the values or scales do.
 */
export class MapSheet extends Component {
  constructor(props) {
    super(props);
    this.canvas = createRef();
    this.board = createRef();
  }

  componentDidMount() {
    this.draw();
  }

  componentDidUpdate(before) {
    if (before.of !== this.props.of || before.count !== this.props.count) this.draw();
  }

  get size() {
    const { count, rows, columns, maxWidth = 560 } = this.props;
    const tile = Math.max(20, Math.min(Math.max(columns, 44), 84));
    const across = Math.max(1, Math.min(count, Math.floor((maxWidth + GAP_PX) / (tile + GAP_PX))));
    const down = Math.ceil(count / across), height = Math.max(1, Math.round(tile * rows / columns));
    return { tile, height, across, down, width: across * (tile + GAP_PX) - GAP_PX, tall: down * (height + GAP_PX) - GAP_PX };
  }

  draw() {
    const { count, rows, columns, valuesOf, scaleFor } = this.props, { tile, height, across, width, tall } = this.size;
    const canvas = this.canvas.current, ratio = screenRatio(), small = document.createElement("canvas");
    canvas.width = width * ratio;
    canvas.height = tall * ratio;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    for (let k = 0; k < count; k++) {
      paint(small, valuesOf(k), rows, columns, scaleFor(k));
      context.drawImage(small, (k % across) * (tile + GAP_PX) * ratio, Math.floor(k / across) * (height + GAP_PX) * ratio, tile * ratio, height * ratio);
    }
  }

  under(event) {
    const box = this.board.current.getBoundingClientRect(), { across, down } = this.size;
    const column = Math.min(across - 1, Math.floor((event.clientX - box.left) / box.width * across));
    return Math.min(down - 1, Math.floor((event.clientY - box.top) / box.height * down)) * across + column;
  }

  go(k) {
    if (k < 0 || k >= this.props.count) return;
    announce(t("channelOf", { channel: k + 1, of: this.props.count }));
    this.props.choose(k);
  }

  keydown = (event) => {
    const { chosen, count } = this.props, { across } = this.size;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const to = step ? chosen + step : event.key === "Home" ? 0 : event.key === "End" ? count - 1 : null;
    if (to === null) return;
    event.preventDefault();
    this.go(to);
  };

  render({ count, chosen, label, off = new Set() }, { hovered = -1 }) {
    const { tile, height, across, width, tall } = this.size;
    const left = (k) => (k % across) * (tile + GAP_PX), top = (k) => Math.floor(k / across) * (height + GAP_PX);
    const frame = (name, k) => k >= 0 && k < count && html`<rect class=${name} x=${left(k) - 1} y=${top(k) - 1} width=${tile + 2} height=${height + 2} />`;
    return html`<div class="map atlas" tabindex="0" role="application" aria-label=${label} aria-roledescription=${t("atlasRole")} ref=${this.board}
      style=${{ "--w": `${width}px`, aspectRatio: `${width} / ${tall}` }}
      onpointermove=${(event) => { const k = this.under(event); if (k !== hovered) this.setState({ hovered: k }); }} onpointerleave=${() => this.setState({ hovered: -1 })}
      onclick=${(event) => this.go(this.under(event))} onkeydown=${this.keydown}>
      <canvas aria-hidden="true" ref=${this.canvas}></canvas>
      <svg viewBox=${`0 0 ${width} ${tall}`} aria-hidden="true">${frame("hover", hovered)}
        <g class="crosses">${[...off].map((k) => html`<path d=${`M${left(k)} ${top(k)}l${tile} ${height}M${left(k) + tile} ${top(k)}l${-tile} ${height}`} />`)}</g>
        ${frame("mark", chosen)}</svg>
    </div>`;
  }
}

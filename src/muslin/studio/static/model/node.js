// One node of the drawing: a layer or a folded block with its feature maps of this image.

import { inTurn, packed } from "/static/api.js";
import { announce } from "/static/dom.js";
import { Component, classes, createRef, html } from "/static/html.js";
import { paint, screenRatio, sheetMap } from "/static/painting.js";
import { same, state } from "/static/state.js";
import { number, percent, t } from "/static/texts.js";
import { GAP_PX, VECTOR_PX } from "./layout.js";
import { kindText, scaleFor, shapeText, targetOf } from "./scales.js";

const MAX_CLASSES = 12; // names in the last column

export class NetworkNode extends Component {
  constructor() {
    super();
    this.canvas = createRef();
    this.element = createRef();
  }

  componentDidMount() {
    this.observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.observer.disconnect();
      this.isSeen = true;
      this.load();
    }, { rootMargin: "200px" });
    this.observer.observe(this.element.current);
  }

  componentWillUnmount() {
    this.observer.disconnect();
    this.asked = null;
    this.props.sheets.delete(this.props.node.name);
  }

  componentDidUpdate(before) {
    if (!same(before.named, this.props.named) || this.view !== state.tta_view || before.node.last.name !== this.props.node.last.name) this.load();
    else this.draw();
  }

  async load() {
    if (!this.isSeen) return;
    const asked = this.asked = {}, { named, node, sheets } = this.props;
    this.view = state.tta_view;
    let sheet = null;
    try { sheet = await inTurn(() => packed("/api/feature-maps", { inspection: named, layer: node.last.name, tta_view: state.tta_view })); } catch { /* the layer's page says why there are none */ }
    if (this.asked !== asked) return;
    if (sheet) sheets.set(node.name, sheet);
    this.setState({ sheet });
  }

  draw() {
    const { sheet } = this.state, { place } = this.props, canvas = this.canvas.current;
    const key = sheet && JSON.stringify([state.range, place.map, place.shown, place.height, sheet.header.rows, sheet.header.columns]);
    if (!canvas || (this.painted === sheet && this.paintedKey === key)) return;
    [this.painted, this.paintedKey] = [sheet, key];
    const ratio = screenRatio(), wide = place.kind === "maps" ? place.map : VECTOR_PX;
    canvas.width = wide * ratio;
    canvas.height = place.height * ratio;
    const context = canvas.getContext("2d"), small = document.createElement("canvas");
    context.imageSmoothingEnabled = false;
    if (!sheet) return;
    const { header } = sheet;
    if (place.kind !== "maps") {
      const values = sheetMap(sheet, 0);
      context.drawImage(paint(small, values, values.length, 1, scaleFor(header, 0)), 0, 0, canvas.width, canvas.height);
      return;
    }
    for (let k = 0; k < place.shown; k++) {
      paint(small, sheetMap(sheet, k), header.rows, header.columns, scaleFor(header, k));
      context.drawImage(small, 0, k * place.step * ratio, place.map * ratio, place.map * ratio);
    }
  }

  under(event) {
    const { place } = this.props, box = this.element.current.getBoundingClientRect();
    const k = Math.floor((event.clientY - box.top - (place.top - place.y)) / place.step);
    return k >= 0 && k < place.shown ? k : -1;
  }

  clicked = (event) => {
    const map = event.detail ? this.under(event) : this.props.map; // by key: the map that arrows chose
    this.props.open(this.props.node, map);
  };

  componentWillReceiveProps(next) {
    if (next.map !== this.props.map && next.map >= 0 && document.activeElement === this.element.current.firstElementChild) announce(t("channelOf", { channel: next.map + 1, of: next.node.last.shape[0] }));
  }

  render({ model, node, place, isStop, map, over, focused, keydown }, { sheet }) {
    const about = node.block || node.layer, kind = node.block ? t("blockOf", { n: node.block.layers.length }) : kindText(node.layer);
    const isOff = node.layer && state.model_edits.some((edit) => edit.layer === node.name);
    return html`<div class=${classes("node", node.block && "block", node.layer?.residual && "residual", isOff && "edited")} ref=${this.element}
      style=${{ left: `${place.x}px`, top: `${place.y}px`, width: `${place.width}px`, "--head": `${place.width + GAP_PX - 4}px`, "--maps": `${place.height}px` }}>
      <button type="button" class="cardbutton" data-key=${node.name} tabindex=${isStop ? 0 : -1} onclick=${this.clicked} onkeydown=${keydown} onfocus=${focused}
        onpointermove=${(event) => { const k = this.under(event); if (k !== map) over(k); }} onpointerleave=${() => over(null)}
        title=${`${node.name} · ${kind} · ${shapeText(about.shape)}`}>
        <span class="nodehead"><span class="title">${node.name}</span><span class="kind">${kind}</span><span class="shape number">${shapeText(about.shape).replaceAll(" ", "")}</span></span>
        <span class="maps"><canvas aria-hidden="true" ref=${this.canvas} width="1" height="1"></canvas>
          ${place.shown > 0 && map >= 0 && html`<i class="pointed" style=${{ top: `${map * place.step}px`, width: `${place.map}px`, height: `${place.map}px` }}></i>`}
          ${place.kind === "classes" && html`<${ClassBars} model=${model} node=${node} sheet=${sheet} />`}</span>
        <span class="nodefoot">${node.block ? html`<span class="more">${t("unfold")}</span>` : place.kind === "maps" && node.last.shape[0] > place.shown && html`<span>${t("model.moreMaps", { n: node.last.shape[0] - place.shown })}</span>`}
          <span class="range number">${rangeText(sheet, place)}</span>${place.kind === "classes" && targetOf(model, node.last).is_calibrated && html`<span>${t("model.beforeCalibration")}</span>`}</span>
      </button></div>`;
  }
}

function rangeText(sheet, place) {
  if (!sheet || place.kind === "classes") return "";
  if (state.range === "map") return place.kind === "maps" ? t("rangePerChannel") : "";
  const [low, high] = state.range === "network" ? sheet.header.network_range : sheet.header.layer_range;
  return html`${number(low, 2)}…<wbr />${number(high, 2)}`;
}

/** The classes with their probabilities: the most probable ones where there are many. */
function ClassBars({ model, node, sheet }) {
  const { classes: names } = targetOf(model, node.last);
  if (!sheet) return null;
  const values = sheetMap(sheet, 0), order = names.map((_, k) => k);
  if (names.length > MAX_CLASSES) order.sort((a, b) => values[b] - values[a]).splice(MAX_CLASSES);
  const best = values.indexOf(Math.max(...values));
  return html`<span class="classbars">${order.map((k) => html`<span class=${classes("classbar", k === best && "best")} key=${names[k]}>
    <span class="name">${names[k]}</span><i style=${{ width: `${Math.round(100 * Math.min(1, Math.max(0, values[k])))}%` }}></i><span class="number">${percent(values[k], 0)}</span></span>`)}</span>`;
}

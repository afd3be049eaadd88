// The drawing of a network: a column of feature maps per layer, from the image to the classes, and how they are joined.

import { Button, Legend, Savers } from "/static/components/index.js";
import { Component, classes, createRef, html } from "/static/html.js";
import { set } from "/static/state.js";
import { percent, short, t } from "/static/texts.js";
import { branchOf, geometryOf, isOneToOne, wiresOf } from "./layout.js";
import { saveDrawing } from "./network_svg.js";
import { NetworkNode } from "./node.js";
import { kindText, scaleFor, shapeText, targetOf, unitWithRange } from "./scales.js";

const LEAST_PX = { width: 600, height: 420 }; // on a phone, the drawing scrolls
const BELOW_PX = 76; // for the line about a layer
let leftLayer = ""; // where the focus returns to when a layer is closed

export const noteLayer = (name) => { leftLayer = name; };

export class Drawing extends Component {
  constructor() {
    super();
    this.element = createRef();
    this.sheets = new Map(); // per node's name what it shows, for saving
    this.state = { size: LEAST_PX, current: "", map: 0, over: null };
  }

  componentDidMount() {
    this.observer = new ResizeObserver(this.measure);
    this.observer.observe(this.element.current);
    addEventListener("resize", this.measure);
    this.measure();
    if (leftLayer) this.focus(leftLayer);
    leftLayer = "";
  }

  componentWillUnmount() {
    this.observer.disconnect();
    removeEventListener("resize", this.measure);
  }

  componentDidUpdate(before) {
    if (this.wanted && before.nodes !== this.props.nodes) this.focus(this.wanted);
  }

  measure = () => {
    const element = this.element.current, style = getComputedStyle(element), top = element.getBoundingClientRect().top + scrollY;
    const width = Math.max(LEAST_PX.width, element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
    const height = Math.max(LEAST_PX.height, innerHeight - top - BELOW_PX);
    if (width !== this.state.size.width || height !== this.state.size.height) this.setState({ size: { width, height } });
  };

  focus(name) {
    const button = this.element.current.querySelector(`[data-key="${CSS.escape(name)}"]`);
    button?.focus();
    if (button) this.wanted = "";
  }

  open = (node, map = 0) => {
    if (node.block) {
      this.wanted = node.block.layers.find((name) => !this.props.model.layers.find((one) => one.name === name).auxiliary); // the focus goes inside
      set({ unfolded: [...this.props.open, node.name] });
    } else set({ layer: node.name, channel: Math.max(map, 0), at: [] }, true);
  };

  fold = (name) => {
    this.wanted = name;
    set({ unfolded: this.props.open.filter((one) => one !== name) });
  };

  keydown = (event) => {
    const { nodes } = this.props, n = Math.max(0, nodes.findIndex((node) => node.name === this.state.current));
    const node = nodes[n], shown = this.geometry.places.get(node.name).shown;
    const to = { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: nodes.length - 1 }[event.key];
    const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (to !== undefined) {
      if (nodes[to]) this.setState({ current: nodes[to].name, map: 0 }, () => this.focus(nodes[to].name));
    } else if (down && shown) this.setState({ map: Math.min(shown - 1, Math.max(0, this.state.map + down)) });
    else return;
    event.preventDefault();
  };

  get active() {
    const { over, current, map } = this.state;
    return over || (current ? { name: current, map } : null);
  }

  render({ model, named, nodes, open }, { size, current }) {
    const isClasses = (layer) => Boolean(targetOf(model, layer)) && /softmax|sigmoid/.test(layer.kind);
    this.geometry = geometryOf(nodes, size, isClasses, open.length > 0);
    const { places, height } = this.geometry, active = this.active, stop = nodes.some((node) => node.name === current) ? current : nodes[0].name;
    return html`<div class="drawing" ref=${this.element} role="group" aria-label=${t("networkDrawing", { n: nodes.length })}>
        <div class="canvas" style=${{ width: `${this.geometry.width}px`, height: `${height}px` }}>
          <${Wires} nodes=${nodes} geometry=${this.geometry} active=${active} />
          ${blocksOf(nodes, open).map((block) => html`<${Fold} key=${block.name} block=${block} places=${places} fold=${this.fold} />`)}
          ${nodes.map((node) => html`<${NetworkNode} key=${node.name} model=${model} node=${node} place=${places.get(node.name)} named=${named} sheets=${this.sheets}
            isStop=${node.name === stop} map=${active?.name === node.name ? active.map : -1} open=${this.open} keydown=${this.keydown}
            over=${(map) => this.setState({ over: map === null ? null : { name: node.name, map } })} focused=${() => { if (this.state.current !== node.name) this.setState({ current: node.name, map: 0 }); }} />`)}
        </div>
      </div>
      <${About} model=${model} node=${nodes.find((node) => node.name === active?.name)} sheet=${this.sheets.get(active?.name)} map=${Math.max(0, active?.map ?? 0)} />
      <${Savers} ways=${{ SVG: () => saveDrawing(nodes, this.geometry, this.sheets) }} />`;
  }
}

/** The unfolded blocks with their first and last node. */
function blocksOf(nodes, open) {
  return open.map((name) => ({ name, nodes: nodes.filter((node) => node.layer?.block === name) })).filter((block) => block.nodes.length);
}

function Fold({ block, places, fold }) {
  const inside = block.nodes.map((node) => places.get(node.name));
  const left = Math.min(...inside.map((place) => place.x)), right = Math.max(...inside.map((place) => place.x + place.width));
  return html`<div class="foldbar" style=${{ left: `${left}px`, width: `${right - left}px` }}>
    <${Button} kind="quiet" class="fold" aria-label=${t("foldBlock", { name: block.name })} onclick=${() => fold(block.name)}>⊟ ${block.name}<//></div>`;
}

/** The lines between the maps; those into the active map stand out. */
function Wires({ nodes, geometry, active }) {
  const { places, width, height } = geometry, at = new Map(nodes.map((node) => [node.name, node]));
  const pairs = nodes.flatMap((node) => node.from.filter((name) => at.has(name)).map((name) => ({ from: at.get(name), to: node })));
  const isBranch = ({ from, to }) => to.column - from.column > 1;
  const path = ({ from, to }, only) => wiresOf(places.get(from.name), places.get(to.name), isOneToOne(from, to), only);
  return html`<svg class="wires" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} aria-hidden="true">
    ${pairs.filter((pair) => !isBranch(pair)).map((pair) => html`<path class=${classes("wire", !isOneToOne(pair.from, pair.to) && "many")} d=${path(pair)} />`)}
    ${pairs.filter(isBranch).map(({ from, to }, n) => html`<path class="wire branch" d=${branchOf(places.get(from.name), places.get(to.name), n)} />`)}
    ${active && pairs.filter((pair) => pair.to.name === active.name && !isBranch(pair)).map((pair) => html`<path class="wire active" d=${path(pair, active.map < 0 ? null : active.map)} />`)}
  </svg>`;
}

/** The layer under the pointer or with the focus: what it is, and what its colours mean. */
function About({ model, node, sheet, map }) {
  if (!node) return html`<div class="nodeabout"><p class="soft">${t("model.networkHint")}</p></div>`;
  const about = node.block || node.layer;
  return html`<div class="nodeabout"><p><strong>${node.name}</strong> · ${[
    node.block ? t("blockOf", { n: node.block.layers.length }) : kindText(node.layer), shapeText(about.shape), about.parameters > 0 && t("parametersCount", { n: short(about.parameters) }),
    about.multiply_adds_share > 0.0005 && t("shareOf", { share: percent(about.multiply_adds_share) }),
  ].filter(Boolean).join(" · ")}</p>
    ${sheet && html`<${Legend} scale=${scaleFor(sheet.header, Math.min(map, sheet.header.low.length - 1))} unit=${unitWithRange(model, node.last)} isHatched=${false} />`}</div>`;
}

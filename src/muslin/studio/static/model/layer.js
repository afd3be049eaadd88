// One layer: all its feature maps, one of them large, its kernel, and the arithmetic of the value under the pointer.

import { ask, askBytes, packed } from "/static/api.js";
import { Button, Load, MapSheet, Savers } from "/static/components/index.js";
import { announce, latest } from "/static/dom.js";
import { Component, classes, createRef, html } from "/static/html.js";
import { coloured, sheetMap } from "/static/painting.js";
import { download, png } from "/static/save.js";
import { same, set, state } from "/static/state.js";
import { number, t } from "/static/texts.js";
import { LayerPath } from "./arithmetic.js";
import { noteLayer } from "./drawing.js";
import { KernelPanel } from "./kernel_panel.js";
import { LayerHead, LayerTools } from "./layer_head.js";
import { LargeMap } from "./large_map.js";
import { scaleFor } from "./scales.js";

const ACROSS = 32; // features in a row

/** Where the values of a layer are: features are drawn as rows of ACROSS, which one map of one row stands for. */
function planOf(layer, header) {
  const isFlat = layer.shape.length !== 3, count = isFlat ? layer.shape[0] ?? 1 : layer.shape[0];
  const columns = isFlat ? Math.min(ACROSS, count) : header.columns, rows = isFlat ? Math.ceil(count / columns) : header.rows;
  return { isFlat, count, rows, columns, isValue: (y, x) => !isFlat || y * columns + x < count, indexOf: (channel, y, x) => (isFlat ? [y * columns + x] : [channel, y, x]) };
}

export class LayerView extends Component {
  constructor() {
    super();
    this.title = createRef();
  }

  componentDidMount() {
    noteLayer(this.props.layer.name);
    this.title.current?.focus({ preventScroll: true });
  }

  render({ model, layer, named }) {
    const request = { inspection: named, layer: layer.name, tta_view: state.tta_view };
    return html`<div class="layerview">
      <p><${Button} kind="quiet" onclick=${() => set({ layer: "", at: [], channel: 0 }, true)}>← ${t("backToNetwork")}<//> <kbd>Esc</kbd></p>
      <${LayerHead} model=${model} layer=${layer} title=${this.title} />
      <${LayerTools} model=${model} layer=${layer} />
      <${Load} of=${request} from=${() => packed("/api/feature-maps", request)}>${(sheet) => html`<${LayerMaps} model=${model} layer=${layer} named=${named} sheet=${sheet} />`}<//>
    </div>`;
  }
}

/** The maps of a layer, and what the chosen value is made of. */
class LayerMaps extends Component {
  constructor() {
    super();
    this.calculate = latest((index, how) => this.ask(index, how));
  }

  componentDidMount() {
    this.first();
  }

  componentDidUpdate(before) {
    if (before.sheet !== this.props.sheet || this.channel !== this.shown?.channel) this.first();
    else if (state.at.length && !same(state.at, this.shown.at)) this.pointed(...this.at, "click");
  }

  componentWillUnmount() {
    this.isGone = true;
  }

  get plan() { return planOf(this.props.layer, this.props.sheet.header); }
  get channel() { return this.plan.isFlat ? 0 : Math.min(Math.max(state.channel, 0), this.plan.count - 1); }

  /** The chosen value's row and column, or those of the largest magnitude. */
  get at() {
    const { isFlat, columns, rows } = this.plan;
    if (isFlat && state.at.length === 1) return [Math.floor(state.at[0] / columns), state.at[0] % columns];
    if (!isFlat && state.at.length === 2 && state.at[0] < rows && state.at[1] < columns) return state.at;
    const values = this.values;
    let best = 0;
    for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
    return [Math.floor(best / columns), best % columns];
  }

  /** Of the chosen map, filled up with zeros where features leave a row open; the same array for the same map. */
  get values() {
    const { sheet } = this.props, { rows, columns } = this.plan, key = this.channel;
    if (this.made?.sheet !== sheet || this.made.key !== key) {
      const values = new Float32Array(rows * columns);
      values.set(sheetMap(sheet, key));
      this.made = { sheet, key, values };
    }
    return this.made.values;
  }

  first() {
    this.shown = { channel: this.channel, at: state.at };
    this.pointed(...this.at, "first");
  }

  pointed = (y, x, how) => {
    if (!this.plan.isValue(y, x)) return;
    if (how !== "first") this.shown = { channel: this.channel, at: state.at };
    if (this.props.layer.has_arithmetic) this.calculate(this.plan.indexOf(this.channel, y, x), how);
  };

  async ask(index, how) {
    const { named, layer } = this.props;
    try {
      const found = await ask("/api/arithmetic", { inspection: named, layer: layer.name, index, tta_view: state.tta_view });
      if (this.isGone) return;
      this.setState({ found, error: null });
      if (how === "key" || how === "click") announce(t("valueIs", { value: number(found.value, 6) }));
    } catch (error) { if (!this.isGone) this.setState({ error }); }
  }

  choose = (y, x) => {
    if (this.plan.isValue(y, x)) set({ at: this.plan.isFlat ? [y * this.plan.columns + x] : [y, x] }, true);
  };

  render({ model, layer, named, sheet }, { found, error }) {
    const { plan, channel } = this, off = new Set(state.model_edits.filter((edit) => edit.kind === "channel_off" && edit.layer === layer.name).map((edit) => edit.channel));
    return html`<div class=${classes("layerbody", plan.isFlat && "flat")}>
        <div>${!plan.isFlat && html`<section class="tiles-panel" aria-label=${t("allMaps")}><h3>${t("allMaps")}</h3>
            <${MapSheet} of=${`${state.range}`} key=${sheet} count=${sheet.header.maps} rows=${sheet.header.rows} columns=${sheet.header.columns} chosen=${channel} off=${off}
              label=${t("mapsOf", { n: sheet.header.maps, layer: layer.name })} valuesOf=${(k) => sheetMap(sheet, k)} scaleFor=${(k) => scaleFor(sheet.header, k)} choose=${(k) => set({ channel: k, at: [] })} />
            <${Savers} ways=${{ PNG: () => saveTiles(layer, sheet), ".npy": () => saveAll(layer, named) }} /></section>`}
          ${layer.kernel && !plan.isFlat && html`<${KernelPanel} layer=${layer} named=${named} channel=${channel} />`}</div>
        <${LargeMap} model=${model} layer=${layer} named=${named} sheet=${sheet} plan=${plan} channel=${channel} values=${this.values} at=${this.at} isOff=${off.has(channel)} point=${this.pointed} choose=${this.choose} />
      </div>
      <section class="formula" aria-label=${t("arithmetic")}><${LayerPath} model=${model} layer=${layer} found=${found} error=${error} /></section>`;
  }
}

async function saveTiles(layer, sheet) {
  const { maps, rows: high, columns: wide } = sheet.header, across = Math.ceil(Math.sqrt(maps)), down = Math.ceil(maps / across);
  const width = across * (wide + 1) - 1, height = down * (high + 1) - 1, rgb = new Uint8Array(3 * width * height).fill(255);
  for (let k = 0; k < maps; k++) {
    const tile = coloured(sheetMap(sheet, k), high * wide, scaleFor(sheet.header, k));
    for (let y = 0; y < high; y++) rgb.set(tile.subarray(3 * y * wide, 3 * (y + 1) * wide), 3 * ((Math.floor(k / across) * (high + 1) + y) * width + (k % across) * (wide + 1)));
  }
  download(`${layer.name}.png`, await png(rgb, width, height, Math.max(1, Math.floor(900 / width))), "image/png");
}

async function saveAll(layer, named) {
  download(`${layer.name}.npy`, await askBytes("/api/values.npy", { inspection: named, layer: layer.name, tta_view: state.tta_view }), "application/octet-stream");
}

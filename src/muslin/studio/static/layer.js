// One layer: all its feature maps, one of them large, its kernel, and the arithmetic of the value under the pointer.

import { ask, packed } from "/static/api.js";
import { announce, button, h, latest, errorText, show } from "/static/dom.js";
import { layerPathView } from "/static/arithmetic.js";
import { atlas, cells, coloured, mapView, sheetMap } from "/static/feature_maps.js";
import { ttaViewChoice, kindText, rangeChoice, scaleFor, shapeText } from "/static/network.js";
import { download, png, savers } from "/static/save.js";
import { same, set, state, inspection } from "/static/state.js";
import { count, messageText, number, percent, short, t } from "/static/texts.js";

const ACROSS = 32; // features in a row

export function layerView(model, layer) {
  const flat = layer.shape.length === 1, features = flat ? layer.shape[0] : 0;
  const classes = model.targets.find((target) => target.scores === layer.name || target.name === layer.name)?.classes || null;
  const tools = h("div", { class: "toolbar" });
  const tilesPlace = h("section", { class: "tiles-panel", "aria-label": t("allMaps") });
  const large = h("section", { class: "large", "aria-label": t("oneMap") });
  const kernelPlace = h("section", { class: "panel kernelpanel", "aria-label": t("kernel") });
  const formula = h("section", { class: "formula", "aria-label": t("arithmetic") });
  const element = h("div", { class: "layerview" },
    h("p", {}, button(`← ${t("backToNetwork")}`, () => set({ layer: "", at: [], channel: 0 }, true), { class: "quiet" }), " ", h("kbd", {}, "Esc")),
    h("h2", { tabindex: -1 }, layer.name, " ", h("span", { class: "of" }, kindText(layer))),
    h("p", { class: "soft" }, [shapeText(layer.shape), layer.parameters ? t("parametersCount", { n: count(layer.parameters) }) : "", layer.multiply_adds ? t("multiplyAddsCount", { n: short(layer.multiply_adds) }) : "", layer.multiply_adds_share ? t("shareOf", { share: percent(layer.multiply_adds_share) }) : ""].filter(Boolean).join(" · ")),
    layer.kernel && h("p", { class: "soft" }, t("kernelFacts", { size: layer.kernel.size.join(" × "), stride: layer.kernel.strides?.join(" × ") ?? layer.kernel.stride.join(" × "), pads: layer.kernel.pads.join(", ") }), layer.kernel.groups > 1 ? ` · ${layer.kernel.groups === layer.kernel.outputs ? t("depthwise") : t("groups", { n: layer.kernel.groups })}` : ""),
    tools, h("div", { class: flat ? "layerbody flat" : "layerbody" }, h("div", {}, tilesPlace, kernelPlace), large), formula);
  let sheet = null, map = null, tiles = null, over = null, closed = false, shownFor = "";

  const columns = () => (flat ? Math.min(ACROSS, features) : sheet.header.columns);
  const rows = () => (flat ? Math.ceil(features / columns()) : sheet.header.rows);
  const indexOf = (y, x) => (flat ? [y * columns() + x] : [channel(), y, x]);
  const channel = () => (flat ? 0 : Math.min(Math.max(state.channel, 0), layer.shape[0] - 1));

  function toolbar() {
    const edited = (kind) => state.model_edits.findIndex((edit) => edit.kind === kind && edit.layer === layer.name);
    const flip = (edit, on) => set({ model_edits: on ? [...state.model_edits, edit] : state.model_edits.filter((one, n) => n !== edited(edit.kind)) });
    const toggle = (edit, words) => h("label", { class: "switch" }, h("input", { type: "checkbox", checked: edited(edit.kind) >= 0, data: { key: edit.kind }, onchange: (event) => flip(edit, event.target.checked) }), h("span", {}, words));
    const focused = tools.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    show(tools, rangeChoice((range) => set({ range })), ttaViewChoice(model, (tta_view) => set({ tta_view })),
      layer.edits.includes("layer_off") && toggle({ kind: "layer_off", layer: layer.name }, t("switchOffLayer")),
      layer.edits.includes("pooling") && toggle({ kind: "pooling", layer: layer.name, how: "mean" }, t("poolMean")),
      layer.edits.includes("dropout") && toggle({ kind: "dropout", layer: layer.name, seed: 0 }, t("dropoutOn")));
    if (focused) tools.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
  }

  const channelsOff = () => new Set(state.model_edits.filter((edit) => edit.kind === "channel_off" && edit.layer === layer.name).map((edit) => edit.channel));

  async function load() {
    toolbar();
    const key = JSON.stringify([inspection(), state.tta_view]);
    shownFor = key;
    let found;
    try { found = await packed("/api/feature-maps", { inspection: inspection(), layer: layer.name, tta_view: state.tta_view }); } catch (error) {
      show(large, errorText(error));
      return;
    }
    if (closed || shownFor !== key) return;
    sheet = found;
    if (tiles && map) refresh();
    else build();
  }

  function build() {
    if (!flat) {
      tiles = atlas({
        maps: sheet.header.maps, rows: sheet.header.rows, columns: sheet.header.columns, chosen: channel(), label: t("mapsOf", { n: sheet.header.maps, layer: layer.name }),
        valuesOf: (k) => sheetMap(sheet, k), scaleFor: (k) => scaleFor(sheet.header, k), off: channelsOff(), choose: (k) => set({ channel: k, at: [] }),
      });
      show(tilesPlace, h("h3", {}, t("allMaps")), tiles.element,
        savers({ PNG: saveTiles, ".npy": saveAll }));
    }
    one();
  }

  function refresh() {
    if (tiles) build();
    else one();
  }

  function values() {
    const found = sheetMap(sheet, flat ? 0 : channel());
    if (!flat) return found;
    const padded = new Float32Array(rows() * columns());
    padded.set(found);
    return padded;
  }

  function one() {
    const k = flat ? 0 : channel(), scale = scaleFor(sheet.header, k);
    const pinned = state.at.length === (flat ? 1 : 2) ? (flat ? [Math.floor(state.at[0] / columns()), state.at[0] % columns()] : state.at) : null;
    const focused = large.contains(document.activeElement) && document.activeElement.classList.contains("map");
    map = mapView({
      values: values(), rows: rows(), columns: columns(), scale, width: flat ? 520 : 440, at: pinned, name: `${layer.name}-${k + 1}`,
      label: flat ? t("featuresOf", { layer: layer.name }) : t("mapOf", { channel: k + 1, layer: layer.name }),
      point: (y, x, how) => { if (!flat || y * columns() + x < features) pointed(indexOf(y, x), how); },
      choose: (y, x) => { if (!flat || y * columns() + x < features) set({ at: flat ? [y * columns() + x] : [y, x] }, true); },
      numbers: exact,
    });
    const off = channelsOff().has(k);
    show(large,
      h("h3", {}, flat ? t("features", { n: features }) : t("channelOf", { channel: k + 1, of: layer.shape[0] })),
      h("p", { class: "buttons" },
        !flat && button(t("previous"), () => set({ channel: Math.max(0, k - 1), at: [] }), { class: "quiet" }),
        !flat && button(t("next"), () => set({ channel: Math.min(layer.shape[0] - 1, k + 1), at: [] }), { class: "quiet" }),
        layer.edits.includes("channel_off") && !flat && button(off ? t("switchOnChannel") : t("switchOffChannel"), () => set({
          model_edits: off ? state.model_edits.filter((edit) => !(edit.kind === "channel_off" && edit.layer === layer.name && edit.channel === k)) : [...state.model_edits, { kind: "channel_off", layer: layer.name, channel: k }],
        }), { "aria-pressed": String(off) })),
      map.element, classes && classTable());
    if (focused) map.board.focus({ preventScroll: true });
    kernels();
    const first = pinned || strongest();
    map.goTo(...first);
    pointed(indexOf(...first), "first");
  }

  function strongest() {
    const found = values();
    let best = 0;
    for (let i = 1; i < (flat ? features : found.length); i++) if (Math.abs(found[i]) > Math.abs(found[best])) best = i;
    return [Math.floor(best / columns()), best % columns()];
  }

  function classTable() {
    const found = sheetMap(sheet, 0);
    return h("ol", { class: "classvalues" }, classes.map((name, i) => h("li", {}, button(name, () => { map.goTo(Math.floor(i / columns()), i % columns()); set({ at: [i] }, true); }, { class: "quiet link" }), " ", h("span", { class: "number soft" }, number(found[i], 4)))));
  }

  async function exact(top, left, height, width) {
    const body = { inspection: inspection(), layer: layer.name, tta_view: state.tta_view, channel: channel(), top, left, height, width };
    if (!flat) return (await ask("/api/values", body)).values;
    const from = top * columns(), n = Math.min(features - from, height * columns());
    const row = (await ask("/api/values", { ...body, top: 0, left: from, height: 1, width: n })).values[0];
    return Array.from({ length: height }, (_, i) => Array.from({ length: width }, (_, j) => row[i * columns() + left + j] ?? 0));
  }

  const arithmetic = latest(async (index, how) => {
    let found;
    try { found = await ask("/api/arithmetic", { inspection: inspection(), layer: layer.name, index, tta_view: state.tta_view }); } catch (error) {
      if (!closed) show(formula, errorText(error));
      return;
    }
    if (closed) return;
    over = found;
    requestAnimationFrame(() => { if (!closed && over === found) show(formula, layerPathView(model, layer, found)); });
    if (how === "key" || how === "click") announce(t("valueIs", { value: number(found.value, 6) }));
  });

  function pointed(index, how) {
    if (!layer.has_arithmetic) {
      show(formula, h("p", { class: "soft" }, layer.unsupported ? messageText(layer.unsupported) : t("noArithmetic")));
      return;
    }
    arithmetic(index, how);
  }

  let inputChannel = 0;

  async function kernels() {
    if (!layer.kernel || flat) { show(kernelPlace); kernelPlace.hidden = true; return; }
    kernelPlace.hidden = false;
    let found;
    try { found = await packed("/api/kernels", { inspection: inspection(), layer: layer.name }); } catch (error) { show(kernelPlace, errorText(error)); return; }
    if (closed) return;
    const { header, data } = found, k = Math.min(channel(), header.outputs - 1), n = header.rows * header.columns;
    inputChannel = Math.min(inputChannel, header.inputs - 1);
    const from = (k * header.inputs + inputChannel) * n;
    const kernel = Array.from({ length: header.rows }, (_, y) => Array.from(data.subarray(from + y * header.columns, from + (y + 1) * header.columns)));
    const editable = layer.edits.includes("kernel");
    const focused = kernelPlace.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const write = (values) => {
      const same_ = (edit) => edit.kind === "kernel" && edit.layer === layer.name && edit.output === k && edit.input === inputChannel;
      const last = state.model_edits[state.model_edits.length - 1];
      const edit = { kind: "kernel", layer: layer.name, output: k, input: inputChannel, values };
      set({ model_edits: last && same_(last) ? [...state.model_edits.slice(0, -1), edit] : [...state.model_edits, edit] });
    };
    show(kernelPlace, h("h3", {}, t("kernelOf", { output: k + 1, input: inputChannel + 1 })),
      header.inputs > 1 && h("label", { class: "field" }, h("span", {}, t("inputOf", { n: header.inputs })), h("input", {
        type: "number", min: 1, max: header.inputs, value: inputChannel + 1, data: { key: "input" },
        oninput: (event) => { const value = Number(event.target.value); if (Number.isInteger(value) && value >= 1 && value <= header.inputs) { inputChannel = value - 1; kernels(); } },
      })),
      cells(kernel, {
        label: t("kernel"), input: editable ? (y, x, value) => h("input", {
          type: "number", step: "any", value: Number(value.toPrecision(5)), "aria-label": t("weightAt", { row: y + 1, column: x + 1 }), data: { key: `w-${y}-${x}` },
          onchange: (event) => {
            const typed = Number(event.target.value);
            if (event.target.value.trim() !== "" && Number.isFinite(typed)) write(kernel.map((row, v) => row.map((one, u) => (v === y && u === x ? typed : one))));
          },
        }) : undefined,
      }),
      editable && h("p", { class: "buttons" }, button(t("kernelZero"), () => write(kernel.map((row) => row.map(() => 0))), { data: { key: "zero" } }), button(t("kernelNegate"), () => write(kernel.map((row) => row.map((value) => -value || 0))), { data: { key: "negate" } })),
      header.bias && h("p", { class: "soft number" }, t("biasIs", { bias: number(header.bias[k]) })));
    if (focused) kernelPlace.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
  }

  async function saveTiles() {
    const { maps, rows: high, columns: wide } = sheet.header, across = Math.ceil(Math.sqrt(maps)), down = Math.ceil(maps / across);
    const width = across * (wide + 1) - 1, height = down * (high + 1) - 1, rgb = new Uint8Array(3 * width * height).fill(255);
    for (let k = 0; k < maps; k++) {
      const tile = coloured(sheetMap(sheet, k), high * wide, scaleFor(sheet.header, k));
      for (let y = 0; y < high; y++) rgb.set(tile.subarray(3 * y * wide, 3 * (y + 1) * wide), 3 * ((Math.floor(k / across) * (high + 1) + y) * width + (k % across) * (wide + 1)));
    }
    download(`${layer.name}.png`, await png(rgb, width, height, Math.max(1, Math.floor(900 / width))), "image/png");
  }

  async function saveAll() {
    const { askBytes } = await import("/static/api.js");
    download(`${layer.name}.npy`, await askBytes("/api/values.npy", { inspection: inspection(), layer: layer.name, tta_view: state.tta_view }), "application/octet-stream");
  }

  load().catch((error) => show(large, errorText(error)));
  return {
    element,
    update(before, changed) {
      if (changed || state.tta_view !== before.tta_view) { load(); return; }
      if (!sheet) return;
      toolbar();
      if (state.range !== before.range) { tiles?.redraw(); one(); return; }
      if (state.channel !== before.channel) { tiles?.select(channel()); one(); return; }
      if (!same(state.at, before.at) && state.at.length) pointed(flat ? state.at : [channel(), ...state.at], "click");
    },
    close() { closed = true; },
  };
}


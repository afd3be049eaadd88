// The network as a drawing: its layers with their feature maps of this image; from here to one layer and one value.

import { inTurn, packed } from "/static/api.js";
import { button, choice, h, s, show } from "/static/dom.js";
import { nodesOf } from "/static/layout.js";
import { layerView } from "/static/layer.js";
import { coloured, paint, sheetMap } from "/static/feature_maps.js";
import { scaleOf } from "/static/colour.js";
import { download, png, savers } from "/static/save.js";
import { set, state, inspection } from "/static/state.js";
import { count, language, number, percent, short, t } from "/static/texts.js";

const CARD = { width: 148, gap: 44, row: 290, top: 62 }; // px; a card of a block with all its lines is 270 high
const MAPS = 6; // of each layer in the overview

/** The colour scale of channel k of a sheet, by the chosen range. */
export function scaleFor(header, k) {
  const [low, high] = state.range === "map" ? [header.low[k], header.high[k]] : state.range === "network" ? header.network_range : header.layer_range;
  return scaleOf(low, high);
}

export function rangeChoice(act) {
  return choice(t("range"), "range", [["map", t("range.map")], ["layer", t("range.layer")], ["network", t("range.network")]], state.range, act);
}

export function ttaViewChoice(model, act) {
  return model.tta_flip ? choice(t("ttaView"), "tta_view", [["original", t("ttaView.original")], ["flipped", t("ttaView.flipped")]], state.tta_view, act) : null;
}

export async function tab(model) {
  const place = h("div", {});
  let layer = null, drawn = "";

  function draw() {
    if (state.layer && model.layers.some((one) => one.name === state.layer)) {
      if (layer?.name === state.layer) return;
      layer?.close?.();
      layer = { name: state.layer, ...layerView(model, model.layers.find((one) => one.name === state.layer)) };
      drawn = "";
      show(place, layer.element);
      layer.element.querySelector("h2")?.focus({ preventScroll: true });
      return;
    }
    const left = layer?.name;
    layer?.close?.();
    layer = null;
    const key = JSON.stringify([inspection(), state.unfolded, state.auxiliary, state.range, state.tta_view]);
    if (key === drawn) return;
    const focused = left || (place.contains(document.activeElement) ? document.activeElement.dataset.key : null);
    const scrolled = place.querySelector(".drawing")?.scrollLeft || 0;
    drawn = key;
    show(place, overview(model));
    place.querySelector(".drawing").scrollLeft = scrolled;
    if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: Boolean(!left) });
  }
  draw();
  return { element: place, update(before, changed) { draw(); layer?.update(before, changed); }, close() { layer?.close?.(); } };
}

function overview(model) {
  const nodes = nodesOf(model, state.unfolded, state.auxiliary);
  const at = new Map(nodes.map((node) => [node.name, node]));
  const columns = Math.max(...nodes.map((node) => node.column)) + 1, rows = Math.max(...nodes.map((node) => node.row)) + 1;
  const width = columns * (CARD.width + CARD.gap) - CARD.gap + 4, height = CARD.top + rows * CARD.row;
  const lines = s("svg", { class: "edges", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    s("defs", {}, s("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, s("path", { d: "M0 0L8 4L0 8z" }))),
    nodes.flatMap((node) => node.from.filter((name) => at.has(name)).map((name) => edge(at.get(name), node))));
  const cards = nodes.map((node) => card(model, node));
  const drawing = h("div", { class: "drawing", role: "group", "aria-label": t("networkDrawing", { n: nodes.length }), tabindex: 0 },
    h("div", { class: "canvas", style: { width: `${width}px`, height: `${height}px` } }, lines, cards.map((one) => one.element)));
  return h("div", {},
    h("h2", {}, t("tab.network")), h("p", { class: "lead" }, t("networkLead")),
    h("div", { class: "toolbar" },
      rangeChoice((range) => set({ range })), ttaViewChoice(model, (tta_view) => set({ tta_view })),
      model.blocks.length > 0 && button(state.unfolded.length ? t("foldAll") : t("unfoldAll"), () => set({ unfolded: state.unfolded.length ? [] : model.blocks.map((block) => block.name) }), { data: { key: "fold" } }),
      model.layers.some((one) => one.auxiliary) && h("label", { class: "switch" }, h("input", { type: "checkbox", checked: state.auxiliary, data: { key: "all" }, onchange: (event) => set({ auxiliary: event.target.checked }) }), h("span", {}, t("showAuxiliary")))),
    drawing,
    savers({ SVG: async () => download("network.svg", await networkSvg(nodes, at, width, height, cards), "image/svg+xml") }),
    h("details", { class: "valuetable" }, h("summary", {}, t("asTable")), layerTable(model)));
}

const middle = (node) => [node.column * (CARD.width + CARD.gap), CARD.top + node.row * CARD.row + 84];

function edgePath(from, to) {
  const [x1, y1] = middle(from), [x2, y2] = middle(to), start = x1 + CARD.width + 2, end = x2 - 2;
  if (to.column - from.column > 1) { // a branch that skips layers is drawn above them
    const high = 10 + 12 * ((to.column + from.column) % 3), a = x1 + CARD.width - 18, b = x2 + 18;
    return `M${a} ${y1 - 84}C${a} ${high} ${a + 8} ${high} ${a + 34} ${high}L${b - 34} ${high}C${b - 8} ${high} ${b} ${high} ${b} ${y2 - 86}`;
  }
  return y1 === y2 ? `M${start} ${y1}L${end} ${y2}` : `M${start} ${y1}C${start + CARD.gap / 2} ${y1} ${end - CARD.gap / 2} ${y2} ${end} ${y2}`;
}
const edge = (from, to) => s("path", { d: edgePath(from, to), class: to.column - from.column > 1 ? "edge branch" : "edge", "marker-end": "url(#tip)" });

export const shapeText = (shape) => (shape.length === 3 ? `${shape[0]} × ${shape[1]} × ${shape[2]}` : count(shape[0] ?? 1));
export const kindText = (layer) => layer.kind_names[language] || layer.kind;

function card(model, node) {
  const about = node.block || node.layer, [x, y] = middle(node);
  const canvas = h("canvas", { "aria-hidden": "true", width: 1, height: 1 });
  const name = node.block ? node.name : node.layer.name, kind = node.block ? t("blockOf", { n: node.block.layers.length }) : kindText(node.layer);
  const opened = !node.block && node.layer.block && state.unfolded.includes(node.layer.block);
  const legendPlace = h("span", { class: "range number" });
  const element = h("div", { class: "node" + (node.block ? " block" : "") + (node.layer?.residual ? " residual" : ""), style: { left: `${x}px`, top: `${y - 84}px`, width: `${CARD.width}px` } },
    h("button", {
      type: "button", class: "cardbutton", data: { key: name },
      onclick: () => (node.block ? set({ unfolded: [...state.unfolded, node.name] }) : set({ layer: name, channel: 0, at: [] }, true)),
    },
    h("span", { class: "kind" }, kind), h("span", { class: "maps" }, canvas), legendPlace,
    h("span", { class: "title" }, name),
    h("span", { class: "number soft" }, shapeText(about.shape)),
    about.parameters > 0 && h("span", { class: "number soft" }, t("parametersCount", { n: short(about.parameters) })),
    h("span", { class: "share", "aria-hidden": "true" }, h("i", { style: { width: `${100 * (about.multiply_adds_share || 0)}%` } })),
    about.multiply_adds_share > 0.0005 && h("span", { class: "number soft" }, t("shareOf", { share: percent(about.multiply_adds_share) })),
    node.block && h("span", { class: "more" }, t("unfold"))),
    opened && h("button", { type: "button", class: "quiet fold", "aria-label": t("foldBlock", { name: node.layer.block }), onclick: () => set({ unfolded: state.unfolded.filter((one) => one !== node.layer.block) }) }, "⊟ ", node.layer.block));
  const made = { element, canvas, node };
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    maps(made, legendPlace);
  }, { rootMargin: "200px" }).observe(element);
  return made;
}

async function maps(made, legendPlace) {
  const layer = made.node.last.name;
  let sheet;
  try { sheet = await inTurn(() => packed("/api/feature-maps", { inspection: inspection(), layer, tta_view: state.tta_view })); } catch { made.canvas.remove(); return; }
  const { header } = sheet, small = document.createElement("canvas");
  made.sheet = sheet;
  if (header.maps === 1 && header.rows === 1) { // features: a column of bars reads better than a line of dots
    const values = sheetMap(sheet, 0), scale = scaleFor(header, 0), n = Math.min(values.length, 36), across = 6;
    const down = Math.ceil(n / across), square = new Float32Array(down * across).fill(scale.low);
    square.set(values.subarray(0, n));
    paint(small, square, down, across, scale);
    made.canvas.width = 126;
    made.canvas.height = Math.min(84, 21 * down);
  } else {
    made.canvas.width = 126;
    made.canvas.height = 83;
  }
  const context = made.canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  if (header.maps === 1 && header.rows === 1) context.drawImage(small, 0, 0, made.canvas.width, made.canvas.height);
  else {
    const shown = Math.min(MAPS, header.maps), wide = shown === 1 ? 83 : 40;
    for (let k = 0; k < shown; k++) {
      paint(small, sheetMap(sheet, k), header.rows, header.columns, scaleFor(header, k));
      context.drawImage(small, (k % 3) * 43, Math.floor(k / 3) * 43, wide, wide);
    }
  }
  const [low, high] = state.range === "network" ? header.network_range : header.layer_range;
  legendPlace.textContent = state.range === "map" ? t("rangePerChannel") : `${number(low, 2)} … ${number(high, 2)}`;
}

function layerTable(model) {
  return h("div", { class: "wide", role: "region", tabindex: 0, "aria-label": t("asTable") }, h("table", {},
    h("thead", {}, h("tr", {}, ["layer", "kind", "shape", "parameters", "share", "inputs"].map((name) => h("th", { scope: "col" }, t(`column.${name}`))))),
    h("tbody", {}, model.layers.filter((one) => state.auxiliary || !one.auxiliary).map((one) => h("tr", {},
      h("th", { scope: "row" }, button(one.name, () => set({ layer: one.name, channel: 0, at: [] }, true), { class: "quiet link" })),
      h("td", {}, kindText(one)), h("td", { class: "number" }, shapeText(one.shape)), h("td", { class: "number" }, count(one.parameters)),
      h("td", { class: "number" }, percent(one.multiply_adds_share || 0)), h("td", {}, one.inputs.join(", ")))))));
}

async function networkSvg(nodes, at, width, height, cards) {
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const words = (x, y, text, size, fill, weight = 400) => s("text", { x, y, "font-size": size, fill: colour(fill), "font-weight": weight }, text);
  const drawing = s("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}`, "font-family": style.getPropertyValue("--font") },
    s("rect", { width, height, fill: colour("paper") }),
    nodes.flatMap((node) => node.from.filter((name) => at.has(name)).map((name) => s("path", { d: edgePath(at.get(name), node), fill: "none", stroke: colour("mid"), "stroke-width": 1.5 }))));
  for (const { node, sheet } of cards) {
    const about = node.block || node.layer, [x, y] = middle(node);
    drawing.append(s("rect", { x, y: y - 84, width: CARD.width, height: 190, rx: 8, fill: colour("paper"), stroke: colour("rule") }),
      words(x + 10, y - 66, node.block ? t("blockOf", { n: node.block.layers.length }) : kindText(node.layer), 11, "soft"),
      words(x + 10, y + 52, node.name, 13, "ink", 600), words(x + 10, y + 70, shapeText(about.shape), 11, "soft"), words(x + 10, y + 86, t("parametersCount", { n: short(about.parameters) }), 11, "soft"));
    if (!sheet) continue;
    const { header } = sheet;
    for (let k = 0; k < Math.min(MAPS, header.maps); k++) {
      const file = await png(coloured(sheetMap(sheet, k), header.rows * header.columns, scaleFor(header, k)), header.columns, header.rows);
      const text = btoa(String.fromCharCode(...new Uint8Array(await file.arrayBuffer())));
      const flat = header.rows === 1 && header.maps === 1;
      drawing.append(s("image", { x: x + 10 + (k % 3) * 43, y: y - 56 + Math.floor(k / 3) * 43, width: flat ? 126 : 40, height: flat ? 12 : 40, preserveAspectRatio: "none", style: { "image-rendering": "pixelated" }, href: `data:image/png;base64,${text}` }));
    }
  }
  return new XMLSerializer().serializeToString(drawing);
}


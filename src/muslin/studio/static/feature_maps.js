// Feature maps as images: one large, many as tiles; each with its legend, its values and its keys.

import { announce, h, s, show } from "/static/dom.js";
import { colourOf, css, inkOn, scaleOf } from "/static/colour.js";
import { csv, download, npy, png, savers } from "/static/save.js";
import { number, t } from "/static/texts.js";

/** Paint rows × columns values into a canvas, one pixel each. */
export function paint(canvas, values, rows, columns, scale) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  fillIn(image.data, values, rows * columns, scale);
  context.putImageData(image, 0, 0);
  return canvas;
}

function fillIn(pixels, values, n, scale) {
  const { low, colours } = scale, factor = 255 / (scale.high - scale.low);
  for (let i = 0, at = 0; i < n; i++, at += 4) {
    const place = Math.round((values[i] - low) * factor);
    const colour = colours[place < 0 ? 0 : place > 255 ? 255 : place];
    pixels[at] = colour[0];
    pixels[at + 1] = colour[1];
    pixels[at + 2] = colour[2];
    pixels[at + 3] = 255;
  }
}

/** Red, green, blue bytes of values, for saving. */
export function coloured(values, n, scale) {
  const rgb = new Uint8Array(3 * n);
  for (let i = 0; i < n; i++) rgb.set(colourOf(values[i], scale), 3 * i);
  return rgb;
}

/** The legend of a scale: its colours from low to high, with their numbers; says what hatching means. */
export function legend(scale, words = "") {
  const stops = Array.from({ length: 9 }, (_, i) => `${css(scale.colours[Math.round(i * 255 / 8)])} ${i * 12.5}%`).join(",");
  return h("div", { class: "legend" },
    words && h("span", { class: "soft" }, words),
    h("span", { class: "number" }, number(scale.low, 3)),
    h("span", { class: "ramp" + (scale.signed ? " signed" : ""), style: { "background-image": `linear-gradient(90deg,${stops})` }, "aria-hidden": "true" }),
    h("span", { class: "number" }, number(scale.high, 3)),
    scale.signed && h("span", { class: "soft hatched" }, t("hatched")));
}

/** A frame that stands out from dark and from light: a dark line on a light one. */
function outline(name) {
  const lines = ["under", "upper"].map((which) => s("rect", { class: `${name} ${which}` }));
  const element = s("g", { visibility: "hidden" }, lines);
  return {
    element,
    place(top, left, height, width) {
      element.setAttribute("visibility", "visible");
      for (const line of lines) for (const [key, value] of Object.entries({ x: left, y: top, width, height })) line.setAttribute(key, value);
    },
  };
}

const HATCH_PX = 7; // cells smaller than this are not hatched: nothing would be left of their colour

/**
 * One map, large. Pointer and arrow keys move a mark over it.
 *
 * `at`: [y, x] where the mark is first; `point(y, x, how)` is called as it moves, `how` being "over", "click" or
 * "key"; `choose(y, x)` on click and Enter; `numbers(top, left, height, width)` gives exact values (may be a promise).
 */
export function mapView({ values, rows, columns, scale, label, width = 420, at = null, point, choose, numbers, name = "map", exact = false }) {
  const cell = Math.max(1, Math.min(Math.floor(width / columns), Math.floor(1.2 * width / rows), 48));
  const canvas = h("canvas", { "aria-hidden": "true" });
  const ratio = Math.max(1, Math.min(2, Math.round(devicePixelRatio || 1)));
  const frame = outline("mark"), window_ = outline("window");
  const over = s("svg", { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" }, window_.element, frame.element);
  const readout = h("p", { class: "readout number" }, " ");
  let [y, x] = at || [-1, -1], now = values, current = scale;

  const board = h("div", {
    class: "map", tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": t("mapRole"),
    style: { "--w": `${cell * columns}px`, "aspect-ratio": `${columns} / ${rows}` },
    onpointermove: (event) => move(...under(event), "over"),
    onclick: (event) => { move(...under(event), "click"); choose?.(y, x); },
    onkeydown: keyed,
    onfocus: () => { if (y < 0) move(Math.floor(rows / 2), Math.floor(columns / 2), "key"); },
  }, canvas, over);

  function under(event) {
    const box = board.getBoundingClientRect();
    const clamp = (value, count) => Math.min(Math.max(Math.floor(value), 0), count - 1);
    return [clamp((event.clientY - box.top) / box.height * rows, rows), clamp((event.clientX - box.left) / box.width * columns, columns)];
  }

  function keyed(event) {
    const far = event.shiftKey ? 10 : 1;
    const step = { ArrowLeft: [0, -far], ArrowRight: [0, far], ArrowUp: [-far, 0], ArrowDown: [far, 0] }[event.key];
    const to = step ? [y + step[0], x + step[1]] : event.key === "Home" ? [0, 0] : event.key === "End" ? [rows - 1, columns - 1] : null;
    if (to) {
      move(Math.min(Math.max(to[0], 0), rows - 1), Math.min(Math.max(to[1], 0), columns - 1), "key");
    } else if ((event.key === "Enter" || event.key === " ") && choose) choose(y, x);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function move(toY, toX, how) {
    if (how === "over" && toY === y && toX === x) return;
    [y, x] = [toY, toX];
    mark();
    if (how === "key") announce(`${t("rowColumn", { row: y + 1, column: x + 1 })}: ${number(now[y * columns + x], exact ? 5 : 3)}`);
    point?.(y, x, how);
  }

  function mark() {
    if (y < 0) return;
    frame.place(y, x, 1, 1);
    readout.textContent = `${t("rowColumn", { row: y + 1, column: x + 1 })}: ${exact ? "" : "≈ "}${number(now[y * columns + x], exact ? 5 : 3)}`;
  }

  function draw() {
    const small = paint(document.createElement("canvas"), now, rows, columns, current);
    const size = cell * ratio;
    canvas.width = columns * size;
    canvas.height = rows * size;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (current.signed && cell >= HATCH_PX) hatch(context, size);
  }

  function hatch(context, size) {
    context.strokeStyle = "rgb(0 0 0 / .42)";
    context.lineWidth = ratio;
    context.beginPath();
    for (let i = 0; i < rows * columns; i++) {
      if (now[i] >= 0 || now[i] > -0.002 * current.high) continue;
      const left = (i % columns) * size, top = Math.floor(i / columns) * size, gap = Math.max(size / 3, 4 * ratio);
      for (let d = gap; d < 2 * size; d += gap) {
        context.moveTo(left + Math.max(0, d - size), top + Math.min(d, size));
        context.lineTo(left + Math.min(d, size), top + Math.max(0, d - size));
      }
    }
    context.stroke();
  }

  draw();
  mark();
  const legendPlace = h("div", {}, legend(current));
  const table = numberTable({ rows, columns, label, at: () => [Math.max(y, 0), Math.max(x, 0)], numbers: numbers || grid(() => now, rows, columns) });
  const element = h("figure", { class: "mapfigure" }, board, readout, legendPlace, table,
    savers({
      PNG: async () => download(`${name}.png`, await png(coloured(now, rows * columns, current), columns, rows, Math.max(1, Math.floor(512 / columns))), "image/png"),
      CSV: async () => download(`${name}.csv`, csv(await all()), "text/csv"),
      ".npy": async () => download(`${name}.npy`, npy((await all()).flat(), [rows, columns]), "application/octet-stream"),
    }));

  /** Exact values of the whole map, in blocks of rows that the server takes. */
  async function all() {
    const give = numbers || grid(() => now, rows, columns), height = Math.max(1, Math.floor(4096 / columns)), found = [];
    for (let top = 0; top < rows; top += height) found.push(...await give(top, 0, Math.min(height, rows - top), columns));
    return found;
  }

  return {
    element, board,
    /** Other values of the same shape, or another scale. */
    update(values_, scale_) {
      now = values_;
      current = scale_;
      draw();
      mark();
      show(legendPlace, legend(current));
    },
    /** Frame the window that a value came from: may reach outside. */
    frame(box) {
      window_.place(box.top, box.left, box.rows, box.columns);
    },
    goTo(toY, toX) { [y, x] = [toY, toX]; mark(); },
  };
}

const grid = (values, rows, columns) => (top, left, height, width) =>
  Array.from({ length: height }, (_, i) => Array.from({ length: width }, (_, j) => values()[(top + i) * columns + left + j]));

const TABLE_SIDE = 16; // rows and columns of a number table at a time

/** The numbers of a map, 16 × 16 at a time around the mark; folded at first. */
export function numberTable({ rows, columns, label, at = () => [0, 0], numbers }) {
  const place = h("div", { class: "wide", role: "region", tabindex: 0, "aria-label": t("valuesOf", { what: label }) });
  const details = h("details", { class: "valuetable", ontoggle: fillTable }, h("summary", {}, t("values")), place);
  let top = 0, left = 0;

  async function fillTable() {
    if (!details.open) return;
    const [y, x] = at();
    top = Math.max(0, Math.min(y - TABLE_SIDE / 2, rows - TABLE_SIDE));
    left = Math.max(0, Math.min(x - TABLE_SIDE / 2, columns - TABLE_SIDE));
    await draw();
  }

  async function draw() {
    const height = Math.min(TABLE_SIDE, rows), width = Math.min(TABLE_SIDE, columns);
    let values;
    try { values = await numbers(top, left, height, width); } catch (error) { show(place, h("p", { class: "error" }, error.message)); return; }
    const go = (down, right) => async () => {
      top = Math.max(0, Math.min(top + down, rows - TABLE_SIDE));
      left = Math.max(0, Math.min(left + right, columns - TABLE_SIDE));
      await draw();
    };
    const arrow = (words, sign, down, right, off) => h("button", { type: "button", class: "quiet", "aria-label": words, disabled: off, onclick: go(down, right) }, sign);
    show(place,
      (rows > TABLE_SIDE || columns > TABLE_SIDE) && h("p", { class: "pager" },
        arrow(t("above"), "↑", -TABLE_SIDE, 0, top <= 0), arrow(t("below"), "↓", TABLE_SIDE, 0, top + TABLE_SIDE >= rows),
        arrow(t("toLeft"), "←", 0, -TABLE_SIDE, left <= 0), arrow(t("toRight"), "→", 0, TABLE_SIDE, left + TABLE_SIDE >= columns)),
      h("table", { class: "values" },
        h("caption", {}, label),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "visuallyhidden" }, t("row"))), values[0].map((_, j) => h("th", { scope: "col" }, left + j + 1)))),
        h("tbody", {}, values.map((row, i) => h("tr", {}, h("th", { scope: "row" }, top + i + 1), row.map((value) => h("td", {}, number(value, 3))))))));
  }
  return details;
}

/** Values as cells with their numbers in them: small windows and kernels. `null` is padding. */
export function cells(values, { scale, label, digits = 3, input, tight = false } = {}) {
  const flat = values.flat().filter((value) => value !== null);
  scale ||= scaleOf(Math.min(...flat, 0), Math.max(...flat, 0));
  return h("table", { class: "cells" + (tight ? " tight" : "") },
    h("caption", { class: "visuallyhidden" }, label),
    h("tbody", {}, values.map((row, y) => h("tr", {}, row.map((value, x) => {
      if (value === null) return h("td", { class: "outside", title: t("paddingZero") }, "0");
      const colour = colourOf(value, scale);
      const style = { "background-color": css(colour), color: inkOn(colour) };
      return h("td", { style, class: value < 0 ? "negative" : "" }, input ? input(y, x, value) : number(value, digits));
    })))));
}

/**
 * Many maps as tiles on one canvas. One stop for the Tab key; arrows go from tile to tile, Enter chooses.
 *
 * `scaleFor(k)` is the scale of tile k; `valuesOf(k)` its values; `choose(k)`.
 */
export function atlas({ maps, rows, columns, valuesOf, scaleFor, label, chosen = 0, choose, maxWidth = 560, off = new Set() }) {
  const tile = Math.max(20, Math.min(Math.max(columns, 44), 84));
  const gap = 4, across = Math.max(1, Math.min(maps, Math.floor((maxWidth + gap) / (tile + gap))));
  const down = Math.ceil(maps / across), height = Math.max(1, Math.round(tile * rows / columns));
  const ratio = Math.min(2, Math.max(1, Math.round(devicePixelRatio || 1)));
  const width = across * (tile + gap) - gap, tall = down * (height + gap) - gap;
  const canvas = h("canvas", { width: width * ratio, height: tall * ratio, "aria-hidden": "true" });
  const frame = s("rect", { class: "mark", width: tile + 2, height: height + 2 });
  const hover = s("rect", { class: "hover", width: tile + 2, height: height + 2, visibility: "hidden" });
  const crosses = s("g", { class: "crosses" });
  const over = s("svg", { viewBox: `0 0 ${width} ${tall}`, "aria-hidden": "true" }, hover, crosses, frame);
  const board = h("div", {
    class: "map atlas", tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": t("atlasRole"),
    style: { "--w": `${width}px`, "aspect-ratio": `${width} / ${tall}` },
    onpointermove: (event) => { const k = under(event); place(hover, k); hover.setAttribute("visibility", k < maps ? "visible" : "hidden"); },
    onpointerleave: () => hover.setAttribute("visibility", "hidden"),
    onclick: (event) => { const k = under(event); if (k < maps) go(k); },
    onkeydown: (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
      const to = step ? chosen + step : event.key === "Home" ? 0 : event.key === "End" ? maps - 1 : null;
      if (to === null) return;
      event.preventDefault();
      if (to >= 0 && to < maps) go(to);
    },
  }, canvas, over);

  function under(event) {
    const box = board.getBoundingClientRect();
    const column = Math.min(across - 1, Math.floor((event.clientX - box.left) / box.width * across));
    return Math.min(down - 1, Math.floor((event.clientY - box.top) / box.height * down)) * across + column;
  }
  function place(rect, k) {
    rect.setAttribute("x", (k % across) * (tile + gap) - 1);
    rect.setAttribute("y", Math.floor(k / across) * (height + gap) - 1);
  }
  function go(k) {
    chosen = k;
    place(frame, k);
    announce(t("channelOf", { channel: k + 1, of: maps }));
    choose?.(k);
  }
  function draw() {
    const context = canvas.getContext("2d"), small = document.createElement("canvas");
    context.imageSmoothingEnabled = false;
    for (let k = 0; k < maps; k++) {
      paint(small, valuesOf(k), rows, columns, scaleFor(k));
      context.drawImage(small, (k % across) * (tile + gap) * ratio, Math.floor(k / across) * (height + gap) * ratio, tile * ratio, height * ratio);
    }
    show(crosses, [...off].map((k) => {
      const x = (k % across) * (tile + gap), y = Math.floor(k / across) * (height + gap);
      return s("path", { d: `M${x} ${y}l${tile} ${height}M${x + tile} ${y}l${-tile} ${height}` });
    }));
  }
  draw();
  place(frame, chosen);
  return { element: board, redraw: draw, select(k) { chosen = k; place(frame, k); } };
}

/** The values of map k of a sheet, from its codes: to a 255th of its range. */
export function sheetMap({ header, data }, k) {
  const n = header.rows * header.columns, codes = data.subarray(k * n, (k + 1) * n);
  const low = header.low[k], factor = (header.high[k] - low) / 255, values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = low + factor * codes[i];
  return values;
}

// An attribution over its image in gray: orange and plus speak for the class, blue and minus against it.

import { packed } from "/static/api.js";
import { html } from "/static/html.js";
import { paintImage } from "/static/painting.js";
import { Canvas } from "./canvas.js";

const WIDTH_PX = 380;
const LEAST_STRENGTH = 0.06, SIGN_STRENGTH = 0.25, SIGN_PX = 8; // of a cell's colour, and of its plus or minus

/** The image as the network takes it, for `under`; null where it cannot be had: the map can be read without. */
export const imageUnder = (inspection) => packed("/api/pixels", { inspection, step: "model_input", max_px: 256 }).catch(() => null);

/** `found` as /api/attribution gives it. `label` is the name of the whole for a screen reader. */
export function AttributionOverlay({ found, under, label }) {
  const { rows, columns } = under?.header || found;
  return html`<div class="overlay" style=${{ aspectRatio: `${columns} / ${rows}` }}>
    <${Canvas} role="img" aria-label=${label} of=${under} paint=${(canvas) => under && paintUnder(canvas, under)} />
    <${Canvas} aria-hidden="true" of=${found} paint=${(canvas) => paintCells(canvas, found)} /></div>`;
}

function paintUnder(canvas, { header: { rows, columns, channels }, data }) {
  paintImage(canvas, data, rows, columns, channels, (value) => 120 + 0.5 * value);
}

function paintCells(canvas, { rows, columns, cells, range }) {
  const size = Math.max(1, Math.round(WIDTH_PX / columns));
  canvas.width = columns * size;
  canvas.height = rows * size;
  const context = canvas.getContext("2d");
  cells.forEach((row, y) => row.forEach((value, x) => paintCell(context, value, Math.min(1, Math.abs(value) / (range || 1)), x * size, y * size, size)));
}

function paintCell(context, value, strength, left, top, size) {
  if (strength < LEAST_STRENGTH) return;
  context.globalAlpha = 0.85 * strength;
  context.fillStyle = value < 0 ? "rgb(33 102 172)" : "rgb(224 110 10)";
  context.fillRect(left, top, size, size);
  if (size < SIGN_PX || strength < SIGN_STRENGTH) return;
  context.globalAlpha = 1;
  context.fillStyle = "#000";
  const bar = Math.min(size * 0.4, 12);
  context.fillRect(left + (size - bar) / 2, top + size / 2 - 1, bar, 2);
  if (value > 0) context.fillRect(left + size / 2 - 1, top + (size - bar) / 2, 2, bar);
}

// Values as pixels: of feature maps, kernels and images. Canvases are painted and never read.

import { colourOf } from "/static/colour.js";

/** Paint rows × columns values into a canvas, one pixel each. */
export function paint(canvas, values, rows, columns, scale) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  const { low, colours } = scale, factor = 255 / (scale.high - scale.low);
  for (let i = 0, at = 0; i < rows * columns; i++, at += 4) {
    const place = Math.round((values[i] - low) * factor);
    const colour = colours[place < 0 ? 0 : place > 255 ? 255 : place];
    image.data[at] = colour[0];
    image.data[at + 1] = colour[1];
    image.data[at + 2] = colour[2];
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The same with `zoom` pixels of the screen per value; of a signed scale, negative values are hatched. */
export function paintLarge(canvas, values, rows, columns, scale, zoom, ratio) {
  const small = paint(document.createElement("canvas"), values, rows, columns, scale), size = zoom * ratio;
  canvas.width = columns * size;
  canvas.height = rows * size;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (scale.signed && zoom >= HATCH_PX) hatch(context, values, rows, columns, scale, size, ratio);
}

const HATCH_PX = 7; // cells smaller than this are not hatched: nothing would be left of their colour

function hatch(context, values, rows, columns, scale, size, ratio) {
  context.strokeStyle = "rgb(0 0 0 / .42)";
  context.lineWidth = ratio;
  context.beginPath();
  const gap = Math.max(size / 3, 4 * ratio);
  for (let i = 0; i < rows * columns; i++) {
    if (values[i] >= 0 || values[i] > -0.002 * scale.high) continue;
    const left = (i % columns) * size, top = Math.floor(i / columns) * size;
    for (let d = gap; d < 2 * size; d += gap) {
      context.moveTo(left + Math.max(0, d - size), top + Math.min(d, size));
      context.lineTo(left + Math.min(d, size), top + Math.max(0, d - size));
    }
  }
  context.stroke();
}

/** Paint an image of 1 or 3 channels, whose bytes are pixel after pixel. */
export function paintImage(canvas, bytes, rows, columns, channels, look = (value) => value) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = look(bytes[channels * i + (channels === 3 ? k : 0)]);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Red, green, blue bytes of values, for saving. */
export function coloured(values, n, scale) {
  const rgb = new Uint8Array(3 * n);
  for (let i = 0; i < n; i++) rgb.set(colourOf(values[i], scale), 3 * i);
  return rgb;
}

/** The values of map k of a sheet, from its codes: to a 255th of its range. */
export function sheetMap({ header, data }, k) {
  const n = header.rows * header.columns, codes = data.subarray(k * n, (k + 1) * n);
  const low = header.low[k], factor = (header.high[k] - low) / 255, values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = low + factor * codes[i];
  return values;
}

/** Pixels of the screen per CSS pixel that canvases are drawn with. */
export const screenRatio = () => Math.max(1, Math.min(2, Math.round(devicePixelRatio || 1)));

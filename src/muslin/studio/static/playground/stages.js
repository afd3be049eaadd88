// What is computed of an image: the convolution, ReLU and pooling, as the address asks for them.

import { scaleOf } from "/static/colour.js";
import { convolve, fitted, KERNELS, pooled, relu } from "/static/kernels.js";

export const SIZES = [1, 2, 3, 4, 5, 7];
export const POOL_PX = 2; // side and stride of the pooling window
export const POOLINGS = ["none", "max", "mean"];

export const clamp = (value, low, high) => Math.min(Math.max(Math.round(value) || low, low), high);

/** {kernel, stride, padding, border, hasRelu, pool}, each within its limits whatever the address says. */
export function settingsOf(state) {
  const rows = state.kernel, isSound = Array.isArray(rows) && SIZES.includes(rows.length) && rows.every((row) => Array.isArray(row) && row.length === rows.length && row.every(Number.isFinite));
  return {
    kernel: isSound ? rows : KERNELS.sobelX, stride: clamp(state.stride, 1, 4), padding: clamp(state.padding, 0, 6), border: state.border,
    hasRelu: state.relu, pool: POOLINGS.includes(state.pool) ? state.pool : "none",
  };
}

/** The name of a kernel, or "custom". */
export function nameOf(kernel) {
  const found = Object.entries(KERNELS).find(([, rows]) => JSON.stringify(fitted(rows, kernel.length)) === JSON.stringify(kernel));
  return found && kernel.length >= 3 ? found[0] : "custom";
}

const gray = ({ planes }) => (planes.length === 1 ? planes[0]
  : planes[0].map((red, i) => Math.round(0.299 * red + 0.587 * planes[1][i] + 0.114 * planes[2][i]))); // ITU-R BT.601

/** The planes that the kernel slides over: red, green and blue, or gray. */
export const planesOf = (given, colour) => (colour === "channels" && given.planes.length === 3 ? given.planes : [gray(given)]);

const PIXELS = scaleOf(0, 255, true);

function rangeOf(values) {
  let low = 0, high = 0;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  return scaleOf(low, low < 0 ? high : Math.max(high, 255), true);
}

/** The stages of one plane in order: [{name, values, rows, columns, scale}]. */
export function stagesOf(given, plane, { kernel, stride, padding, border, hasRelu, pool }) {
  const made = [{ name: "image", values: plane, rows: given.rows, columns: given.columns, scale: PIXELS }];
  const result = convolve(plane, given.rows, given.columns, kernel, stride, padding, border);
  if (!result.rows) return made;
  made.push({ name: "result", ...result, scale: rangeOf(result.values) });
  if (hasRelu) {
    const values = relu(result.values);
    made.push({ name: "relu", ...result, values, scale: rangeOf(values) });
  }
  const last = made.at(-1);
  if (pool !== "none" && Math.min(last.rows, last.columns) >= POOL_PX) {
    const small = pooled(last.values, last.rows, last.columns, POOL_PX, pool);
    made.push({ name: "pooled", ...small, scale: rangeOf(small.values) });
  }
  return made;
}

// Colours of values: viridis where there are no negative ones, else blue–white–orange with zero in the middle.

import { VIRIDIS } from "/static/ramps.js";

const BLUE = [[5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 246, 243]];
const ORANGE = [[247, 246, 243], [254, 224, 182], [253, 184, 99], [224, 130, 20], [179, 88, 6], [127, 59, 8]];

function ramp(stops, at) {
  const place = Math.min(Math.max(at, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2), part = place - low;
  return stops[low].map((value, i) => Math.round(value + part * (stops[low + 1][i] - value)));
}

export const SIGNED = Array.from({ length: 256 }, (_, i) => (i < 128 ? ramp(BLUE, i / 127.5) : ramp(ORANGE, (i - 127.5) / 127.5)));
export const UNSIGNED = Array.from({ length: 256 }, (_, i) => [VIRIDIS[3 * i], VIRIDIS[3 * i + 1], VIRIDIS[3 * i + 2]]);
export const GRAY = Array.from({ length: 256 }, (_, i) => [i, i, i]);

/** How values of a range are coloured: {low, high, signed}. A signed one is the same on both sides of zero. */
export function scaleOf(low, high, gray = false) {
  if (low < 0) {
    const most = Math.max(-low, high, 1e-12);
    return { low: -most, high: most, signed: true, colours: SIGNED };
  }
  return { low: Math.min(low, 0), high: Math.max(high, 1e-12), signed: false, colours: gray ? GRAY : UNSIGNED };
}

export function colourOf(value, scale) {
  const place = Math.round(255 * (value - scale.low) / (scale.high - scale.low));
  return scale.colours[Math.min(Math.max(place, 0), 255)];
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Black or white, whichever stands out more from a colour. */
export function inkOn([red, green, blue]) {
  const light = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  return 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue) > 0.18 ? "#000" : "#fff";
}

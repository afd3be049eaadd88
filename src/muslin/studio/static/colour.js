// Colours of values: viridis where there are no negative ones, else blue–white–orange with zero in the middle.

import { BLUE_TO_ORANGE, VIRIDIS } from "/static/ramps.js";

const SIGNED = BLUE_TO_ORANGE;
const UNSIGNED = VIRIDIS;
const GRAY = Array.from({ length: 256 }, (_, i) => [i, i, i]);

/** How values of a range are coloured: {low, high, signed}. A signed one is the same on both sides of zero. */
export function scaleOf(low, high, gray = false) {
  if (low < 0) {
    const max = Math.max(-low, high, 1e-12);
    return { low: -max, high: max, signed: true, colours: SIGNED };
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

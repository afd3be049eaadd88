// Values by their place in a layer.

import { set } from "/static/state.js";

/** Show the value that `to` names: {layer, index}. */
export function go(to) {
  if (!to?.layer || !to.index) return;
  const isMap = to.index.length > 1;
  set({ tab: "network", layer: to.layer, channel: isMap ? to.index[0] : 0, at: isMap ? to.index.slice(1) : to.index }, true);
}

export const positionText = (index) => `[${index.map((one) => one + 1).join(", ")}]`;

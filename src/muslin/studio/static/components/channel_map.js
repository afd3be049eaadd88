// One feature map of a layer, small, in its own range.

import { packed } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { html } from "/static/html.js";
import { paint, sheetMap } from "/static/painting.js";
import { Canvas } from "./canvas.js";
import { Load } from "./load.js";

/** The map of a channel, or the last one where there are fewer. The rest are attributes of the canvas. */
export function ChannelMap({ inspection, layer, channel, class: more, ...rest }) {
  const request = { inspection, layer, tta_view: "original" };
  return html`<${Load} of=${request} from=${() => packed("/api/feature-maps", request)} loading=${html`<span class=${more}></span>`}>${(sheet) => html`
    <${Canvas} class=${more} ...${rest} of=${sheet} paint=${(canvas) => paintMap(canvas, sheet, Math.min(channel, sheet.header.maps - 1))} key=${channel} />`}<//>`;
}

function paintMap(canvas, sheet, channel) {
  const { rows, columns, low, high } = sheet.header;
  paint(canvas, sheetMap(sheet, channel), rows, columns, scaleOf(low[channel], high[channel]));
}

// The drawing of the network as an SVG file of its own.

import { coloured, sheetMap } from "/static/painting.js";
import { download, png } from "/static/save.js";
import { t } from "/static/texts.js";
import { branchOf, isOneToOne, VECTOR_PX, wiresOf } from "./layout.js";
import { kindText, scaleFor, shapeText } from "./scales.js";

const SVG = "http://www.w3.org/2000/svg";

function element(name, properties, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** Save the nodes as they are drawn; `sheets` has per node's name its feature maps. */
export async function saveDrawing(nodes, { width, height, places }, sheets) {
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const at = new Map(nodes.map((node) => [node.name, node]));
  const drawing = element("svg", { xmlns: SVG, width: width + 20, height, viewBox: `-10 0 ${width + 20} ${height}`, "font-family": style.getPropertyValue("--font") });
  drawing.append(element("rect", { x: -10, width: width + 20, height, fill: colour("paper") }));
  let branches = 0;
  for (const to of nodes) {
    for (const from of to.from.filter((name) => at.has(name)).map((name) => at.get(name))) {
      const [a, b] = [places.get(from.name), places.get(to.name)];
      const d = to.column - from.column > 1 ? branchOf(a, b, branches++) : wiresOf(a, b, isOneToOne(from, to));
      drawing.append(element("path", { d, fill: "none", stroke: colour("mid"), "stroke-width": 0.7 }));
    }
  }
  for (const node of nodes) await drawNode(drawing, node, places.get(node.name), sheets.get(node.name), colour);
  download("network.svg", new XMLSerializer().serializeToString(drawing), "image/svg+xml");
}

async function drawNode(drawing, node, place, sheet, colour) {
  const lines = [[node.name, "ink", 600], [node.block ? t("blockOf", { n: node.block.layers.length }) : kindText(node.layer), "soft", 400], [shapeText((node.block || node.layer).shape), "soft", 400]];
  lines.forEach(([text, ink, weight], n) => drawing.append(element("text", { x: place.x, y: place.y + 14 + 15 * n, "font-size": 10.5, fill: colour(ink), "font-weight": weight }, text)));
  if (!sheet) return;
  const { header } = sheet, isMaps = place.kind === "maps";
  for (let k = 0; k < (isMaps ? place.shown : 1); k++) {
    const values = sheetMap(sheet, k), rgb = coloured(values, header.rows * header.columns, scaleFor(header, k));
    const file = isMaps ? await png(rgb, header.columns, header.rows) : await png(rgb, 1, values.length);
    const text = btoa(String.fromCharCode(...new Uint8Array(await file.arrayBuffer())));
    const size = isMaps ? { width: place.map, height: place.map } : { width: VECTOR_PX, height: place.height };
    drawing.append(element("image", { x: place.x, y: place.top + k * place.step, ...size, preserveAspectRatio: "none", style: "image-rendering:pixelated", href: `data:image/png;base64,${text}` }));
  }
}

// The layout of layers and folded blocks: left to right by the longest path, branches above each other.

const MAX_COLUMNS = 20; // that a drawing shows on a screen of 1280 px

/**
 * The blocks that are unfolded: those that were chosen, or, where nothing was (null), all where the whole network then
 * fits on a screen, and none where it does not.
 */
export function opened(model, chosen, all) {
  if (chosen) return chosen;
  const every = model.blocks.map((block) => block.name);
  return Math.max(...nodesOf(model, every, all).map((node) => node.column)) < MAX_COLUMNS ? every : [];
}

/**
 * The shown nodes: layers without auxiliary operations, and each folded block as one node.
 *
 * Returns [{name, block|null, layer|null, last, column, row, from: [names]}] in order of columns; `last` is the layer
 * whose result is shown. A node's column is the longest path to it over what is shown, so a branch that skips layers is
 * an edge over several columns.
 */
export function nodesOf(model, open, all) {
  const byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  const blocks = new Map(model.blocks.map((block) => [block.name, block]));
  const hidden = (layer) => layer.auxiliary && !all;
  const folded = (layer) => layer.block && blocks.has(layer.block) && !open.includes(layer.block);
  const nameOf = (layer) => (folded(layer) ? layer.block : layer.name);
  const nodes = new Map();
  for (const layer of model.layers) {
    if (hidden(layer)) continue;
    const name = nameOf(layer);
    if (!nodes.has(name)) nodes.set(name, { name, block: folded(layer) ? blocks.get(layer.block) : null, layer: folded(layer) ? null : layer, from: new Set(), last: layer });
    nodes.get(name).last = layer;
    for (const source of sources(layer, new Set())) if (source !== name) nodes.get(name).from.add(source);
  }

  /** The shown nodes that are inputs of a layer, directly or through hidden ones. */
  function sources(layer, visited) {
    return layer.inputs.flatMap((input) => {
      if (visited.has(input)) return [];
      visited.add(input);
      const source = byName.get(input);
      if (!source) return [];
      return hidden(source) ? sources(source, visited) : [nameOf(source)];
    });
  }

  const columns = new Map();
  const column = (name, path) => {
    if (columns.has(name)) return columns.get(name);
    if (path.has(name)) return 0; // a folded block that is left and entered again
    path.add(name);
    const found = Math.max(-1, ...[...nodes.get(name).from].filter((one) => nodes.has(one)).map((one) => column(one, path))) + 1;
    path.delete(name);
    columns.set(name, found);
    return found;
  };
  const used = new Map();
  return [...nodes.values()].map((node) => {
    const at = column(node.name, new Set()), row = used.get(at) || 0;
    used.set(at, row + 1);
    return { ...node, from: [...node.from], column: at, row };
  }).sort((a, b) => a.column - b.column || a.row - b.row);
}

const HEAD_PX = 54, FOOT_PX = 44, TOP_PX = { some: 30, none: 2 }; // above and below a node's maps; above all, for branches and blocks
const MAP_GAP_PX = 5; // between the maps of a node
const HEIGHT_PX = [150, 560]; // of a node's maps, at least and at most
const WIDTHS_PX = { classes: 112, vector: 40, maps: [46, 92] };
const MAX_MAPS = 10, MIN_MAP_PX = 26; // of a node, as many as the eye compares
export const GAP_PX = 18; // between columns

/**
 * Where everything is drawn within `available` px, a width and a height: {width, height, places}, `places` being per
 * node's name {x, y, width, kind, map, shown, height, step, top}: `kind` is "maps", "vector" or "classes", `map` the side
 * of a map, `shown` how many there are, `step` from one to the next. The height may be exceeded, and the width where
 * there are many columns.
 */
export function geometryOf(nodes, available, isClasses, hasBlocks) {
  const columns = Math.max(...nodes.map((node) => node.column)) + 1, rows = Math.max(...nodes.map((node) => node.row)) + 1;
  const kindOf = (node) => (node.last.shape.length === 3 ? "maps" : isClasses(node.last) ? "classes" : "vector");
  const kinds = Array.from({ length: columns }, (_, column) => nodes.filter((node) => node.column === column).map(kindOf));
  const fixed = kinds.map((inside) => (inside.includes("classes") ? WIDTHS_PX.classes : inside.includes("maps") ? 0 : WIDTHS_PX.vector));
  const taken = fixed.reduce((sum, width) => sum + width, 0) + GAP_PX * (columns - 1);
  const share = Math.floor((available.width - taken) / Math.max(1, fixed.filter((width) => !width).length));
  const [least, most] = WIDTHS_PX.maps, wide = Math.min(most, Math.max(least, share));
  const widths = fixed.map((width) => width || wide), starts = [];
  let x = 0;
  for (const width of widths) { starts.push(x); x += width + GAP_PX; }
  const hasBranches = nodes.some((node) => node.from.some((name) => node.column - (nodes.find((one) => one.name === name)?.column ?? node.column) > 1));
  const above = hasBranches || hasBlocks ? TOP_PX.some : TOP_PX.none;
  const height = Math.max(HEIGHT_PX[0], Math.min(HEIGHT_PX[1], Math.floor((available.height - above) / rows) - HEAD_PX - FOOT_PX));
  const places = new Map(nodes.map((node) => {
    const kind = kindOf(node), maps = node.last.shape[0];
    const map = Math.min(wide, Math.max(MIN_MAP_PX, Math.floor((height + MAP_GAP_PX) / Math.min(MAX_MAPS, maps)) - MAP_GAP_PX));
    const shown = kind === "maps" ? Math.min(maps, MAX_MAPS, Math.max(1, Math.floor((height + MAP_GAP_PX) / (map + MAP_GAP_PX)))) : 0;
    const y = above + node.row * (HEAD_PX + height + FOOT_PX);
    return [node.name, { x: starts[node.column], y, width: widths[node.column], kind, map, shown, height, step: map + MAP_GAP_PX, top: y + HEAD_PX }];
  }));
  return { width: x - GAP_PX, height: above + rows * (HEAD_PX + height + FOOT_PX), places };
}

const middle = (place, k) => place.top + k * place.step + place.map / 2;

/** Whether each channel comes from the channel of the same number alone. */
export function isOneToOne(from, to) {
  const kernel = to.layer?.kernel, groups = kernel ? kernel.groups === kernel.outputs : to.layer !== null;
  return groups && from.last.shape.length === 3 && to.last.shape.length === 3 && from.last.shape[0] === to.last.shape[0];
}

/** The lines from one node's maps to another's: a path for SVG; `only` is a map of the second whose lines are wanted. */
export function wiresOf(from, to, isOneToOne, only = null) {
  const start = from.x + from.width, end = to.x;
  const ends = (place) => (place.kind === "maps" ? Array.from({ length: place.shown }, (_, k) => middle(place, k)) : [place.top, place.top + place.height]);
  const line = (y1, y2) => `M${start - inset(from)} ${y1}L${end} ${y2}`;
  if (from.kind !== "maps" && to.kind !== "maps") return only === null ? `${line(from.top, to.top)}${line(from.top + from.height, to.top + to.height)}` : "";
  return ends(from).flatMap((y1, i) => ends(to).map((y2, k) => {
    const isWanted = only === null || to.kind !== "maps" || k === only;
    return isWanted && (!isOneToOne || i === k) ? line(y1, y2) : "";
  })).join("");
}

/** What is free at the right of a node's maps, which may be narrower than its column. */
const inset = (place) => (place.kind === "maps" ? place.width - place.map : place.kind === "vector" ? place.width - VECTOR_PX : 0);
export const VECTOR_PX = 20;

/** A branch that skips layers, drawn above them. */
export function branchOf(from, to, n) {
  const high = 8 + 8 * (n % 3), a = from.x + from.width / 2, b = to.x + to.width / 2;
  return `M${a} ${from.y}C${a} ${high} ${a + 6} ${high} ${a + 26} ${high}L${b - 26} ${high}C${b - 6} ${high} ${b} ${high} ${b} ${to.y - 2}`;
}

// The layout of layers and folded blocks: left to right by the longest path, branches above each other.

/**
 * The shown nodes: layers without auxiliary operations, and each folded block as one node.
 *
 * Returns [{name, block: bool, layer|null, column, row, from: [names]}] in order of columns. A node's column is the
 * longest path to it over what is shown, so a branch that skips layers is an edge over several columns.
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

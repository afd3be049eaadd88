// Everything that one sees is in the link, after the #: model, image, view, layer, value, edits.

export const DEFAULTS = {
  page: "home", lang: "", model: "", image: "", tab: "saw",
  steps: {}, changes: {}, edits: [],
  layer: "", channel: 0, at: [], tta_view: "original", range: "layer", open: [], all: false,
  target: "", cls: "", versus: "", source: "", trust: false,
  kernel: [], stride: 1, padding: 0, colour: "gray", border: "zero", side: 28, bench: "",
};
const CODED = new Set(["steps", "changes", "edits", "at", "open", "kernel"]);

function parse(hash) {
  const found = structuredClone(DEFAULTS);
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in DEFAULTS)) continue;
    try {
      const value = CODED.has(name) ? JSON.parse(text)
        : typeof DEFAULTS[name] === "number" ? Number(text)
          : typeof DEFAULTS[name] === "boolean" ? text === "1" : text;
      const kind = Array.isArray(DEFAULTS[name]) ? Array.isArray(value) : typeof value === typeof DEFAULTS[name];
      if (kind && value !== null && !Number.isNaN(value)) found[name] = value;
    } catch { /* a link cut off half-way still leads to what is left of it */ }
  }
  return found;
}

export let state = parse(location.hash);
const watchers = new Set();

export function link(changes = {}) {
  const all = { ...state, ...changes };
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(all)) {
    const text = JSON.stringify(value);
    if (text === JSON.stringify(DEFAULTS[name])) continue;
    words.set(name, CODED.has(name) ? text : value === true ? "1" : String(value));
  }
  return "#" + words.toString();
}

/** Change the state. With `step` the browser's Back leads to what was before. */
export function set(changes, step = false) {
  const before = state;
  adopt(changes, step);
  tell(before);
}

/** The same without telling anyone: for a page that fills in what its link left open, before it is built. */
export function adopt(changes, step = false) {
  state = { ...state, ...changes };
  const address = link();
  if (address !== (location.hash || "#")) history[step ? "pushState" : "replaceState"](null, "", address);
}

/** `heard(before)` after every change; returns what ends it. */
export function watch(heard) {
  watchers.add(heard);
  return () => watchers.delete(heard);
}

function tell(before) {
  for (const heard of [...watchers]) heard(before);
}

function fromAddress() {
  const before = state;
  state = parse(location.hash);
  if (JSON.stringify(before) !== JSON.stringify(state)) tell(before);
}
addEventListener("popstate", fromAddress);
addEventListener("hashchange", fromAddress);

/** What the server is asked about: the model, the image, and what was changed of either. */
export function view() {
  const asked = { model: state.model, image: state.image };
  for (const name of ["steps", "changes"]) if (Object.keys(state[name]).length) asked[name] = state[name];
  if (state.edits.length) asked.edits = state.edits;
  return asked;
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

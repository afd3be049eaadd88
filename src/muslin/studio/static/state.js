// All state of the page is in the link, after the #. Each page adds its names to DEFAULTS; the link leaves defaults out.

export const DEFAULTS = {
  page: "home", lang: "", data: "", run: "", model: "", image: "", tab: "preprocessing",
  steps: {}, image_edits: {}, model_edits: [],
  layer: "", channel: 0, at: [], tta_view: "original", range: "layer", unfolded: null, auxiliary: false,
  target: "", label: "", versus: "", pair: true, attributionLayer: "", checks: false,
  store: "", view: "queue", filters: {}, sort: "confidence", start: 0,
  kernel: [], stride: 1, padding: 0, colour: "gray", border: "zero", relu: false, pool: "none",
  epoch: 0,
  stage: "", walk: {}, hide: [],
  part: "test", mistakes: "matrix", predicted: "", outcome: "", change: "", other: "", slice: "", value: "", why: "", matrix: {},
  show: "", order: "order", descending: false, like: -1, size: "medium", finding: 0,
};
const CODED = new Set(["steps", "image_edits", "model_edits", "at", "unfolded", "kernel", "filters", "walk", "hide", "matrix"]);

function parse(hash) {
  const found = structuredClone(DEFAULTS);
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in DEFAULTS)) continue;
    try {
      const value = CODED.has(name) ? JSON.parse(text)
        : typeof DEFAULTS[name] === "number" ? Number(text)
          : typeof DEFAULTS[name] === "boolean" ? text === "1" : text;
      const kind = Array.isArray(DEFAULTS[name] ?? []) ? Array.isArray(value) : typeof value === typeof DEFAULTS[name];
      if (kind && value !== null && !Number.isNaN(value)) found[name] = value;
    } catch { /* of a link that was cut off, the rest still works */ }
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

const SHARED = ["lang", "data", "run", "model", "image", "hide"]; // what stays open, or hidden, from one page to the next

/** The link to another page: with what is open in all of them, and nothing else of the page before. */
export function roomLink(page, changes = {}) {
  const kept = Object.fromEntries(SHARED.map((name) => [name, state[name]]));
  return link({ ...DEFAULTS, ...kept, page, ...changes });
}

/** Change the state. With `step` the browser's Back returns to the state before. */
export function set(changes, step = false) {
  const before = state;
  adopt(changes, step);
  notify(before);
}

/** The same without calling watchers: for a page that completes its link before it is built. */
export function adopt(changes, step = false) {
  state = { ...state, ...changes };
  const address = link();
  if (address !== (location.hash || "#")) history[step ? "pushState" : "replaceState"](null, "", address);
}

/** Call `watcher(before)` after every change. */
export function watch(watcher) {
  watchers.add(watcher);
}

function notify(before) {
  for (const watcher of [...watchers]) watcher(before);
}

function fromAddress() {
  const before = state;
  state = parse(location.hash);
  if (JSON.stringify(before) !== JSON.stringify(state)) notify(before);
}
addEventListener("popstate", fromAddress);
addEventListener("hashchange", fromAddress);

/** The inspection that a request names: the model, the image, and the edits of both. */
export function inspection() {
  const named = { model: state.model, image: state.image };
  for (const name of ["steps", "image_edits"]) if (Object.keys(state[name]).length) named[name] = state[name];
  if (state.model_edits.length) named.model_edits = state.model_edits;
  return named;
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

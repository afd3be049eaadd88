// What each key does, which the person can change; the browser keeps it. Class keys follow the order of the classes.

const DEFAULTS = {
  confirm: "Enter", wrong: " ", zoom: "z", not_sure: "n", not_ours: "x", note: "m", similar: "s", all_similar: "a", find: "f",
  undo: "u", happened: "h", larger: "+", smaller: "-",
};
export const ACTIONS = Object.keys(DEFAULTS);
export const CLASS_KEYS = "1234567890";
const FIXED = new Set(["Tab", "Escape", "Shift", "Control", "Alt", "Meta", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
const SHOWN = { Enter: "⏎", " ": "␣", Backspace: "⌫", Delete: "⌦" };
const STORED = "muslin-review-keys";

function load() {
  try {
    const saved = JSON.parse(localStorage.getItem(STORED) || "{}");
    return { ...DEFAULTS, ...Object.fromEntries(Object.entries(saved).filter(([name, key]) => name in DEFAULTS && typeof key === "string")) };
  } catch { return { ...DEFAULTS }; }
}

export let keys = load();

/** The key as it is printed on a button. */
export const shownKey = (action) => SHOWN[keys[action]] || keys[action].toUpperCase();

/** What stands in aria-keyshortcuts. */
export const spokenKey = (action) => (keys[action] === " " ? "Space" : keys[action]);

/** The action of a pressed key, or undefined. Letters do the same with and without Shift. */
export function actionOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const key = normal(event.key);
  return ACTIONS.find((name) => keys[name] === key);
}

/** The number of the class that a pressed key names, or -1. */
export function classOf(event) {
  return event.ctrlKey || event.metaKey || event.altKey ? -1 : CLASS_KEYS.indexOf(event.key);
}

const normal = (key) => (key.length === 1 ? key.toLowerCase() : key);

/** Whether a key can be given to an action. */
export const isFree = (key) => !FIXED.has(key) && !CLASS_KEYS.includes(key);

/** Give `action` another key; the action that had it gets this one's. */
export function setKey(action, key) {
  const other = ACTIONS.find((name) => keys[name] === normal(key));
  if (other) keys = { ...keys, [other]: keys[action] };
  keys = { ...keys, [action]: normal(key) };
  keep();
}

export function resetKeys() {
  keys = { ...DEFAULTS };
  keep();
}

function keep() {
  try { localStorage.setItem(STORED, JSON.stringify(keys)); } catch { /* they hold until the page is left */ }
}

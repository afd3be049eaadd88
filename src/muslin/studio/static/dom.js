// Elements, and announcements for screen readers. Text never becomes HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "style") for (const [rule, what] of Object.entries(value)) element.style.setProperty(rule, what);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

/** An HTML element: h("p", {class: "soft"}, "text", child, [more]). */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

export function put(element, ...children) {
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Replace what is in `element`. */
export function show(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

const live = h("p", { class: "visuallyhidden", role: "status", "aria-live": "polite" });
document.body.append(live);
let waiting = 0;

/** Read out by a screen reader, after a short pause without other announcements. */
export function announce(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => { live.textContent = text; }, 150);
}

export function button(text, act, properties) {
  return h("button", { type: "button", onclick: act, ...properties }, text);
}

/** One of several, as radio buttons in a row. `choices`: [[value, words], …]. */
export function choice(legend, name, choices, chosen, act, hideLegend = false) {
  return h("fieldset", { class: "choice" },
    h("legend", { class: hideLegend ? "visuallyhidden" : "" }, legend),
    h("span", { class: "segments" }, choices.map(([value, words]) => h("label", {},
      h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => act(value) }),
      h("span", {}, words)))));
}

export function select(label, choices, chosen, act, properties) {
  return h("label", { class: "field" }, h("span", {}, label),
    h("select", { onchange: (event) => act(event.target.value), ...properties },
      choices.map(([value, words]) => h("option", { value, selected: String(value) === String(chosen) }, words))));
}

/** `act` after `wait` ms without another call. */
export function debounce(act, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), wait);
  };
}

/** Run an async function one call at a time; of the calls in the meantime only the last is run. */
export function latest(act) {
  let busy = false, next = null;
  async function run(values) {
    busy = true;
    try { await act(...values); } finally {
      busy = false;
      if (next) { const values = next; next = null; run(values); }
    }
  }
  return (...values) => { if (busy) next = values; else run(values); };
}

/** The text of an error. */
export function errorText(error) {
  console.debug(error);
  return h("p", { class: "error", role: "alert" }, error.message || String(error));
}

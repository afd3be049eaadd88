// Which images are shown, in which order. All of it is in the address.

import { Button, Choice, Field, Select } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set } from "/static/state.js";
import { count, number, t, tOr } from "/static/texts.js";

const STATES = ["all", "undecided", "decided", "excluded", "unlabelled"];
const SORTS = ["order", "id", "label", "random"];
const VALUES = ["confidence", "loss"];

/** `about`: the data set; `counts`: of all its images; `values`: the ranges of what can be sorted by. */
export function Filters({ about, target, counts, values, state }) {
  const filters = state.filters, change = (some) => set({ filters: tidy({ ...filters, ...some }) });
  const one = (name) => filters[name]?.[0] ?? "";
  const choose = (name) => (value) => change({ [name]: value ? [value] : [] });
  const classes = target ? target.classes.map((name, n) => [name, `${name} (${count(counts?.classes[n] ?? 0)})`]) : [];
  return html`<section class="filters" aria-label=${t("data.filters")}>
    <${Field} label=${t("data.text")} type="search" value=${filters.text || ""} onchange=${(text) => change({ text })} />
    ${about.targets.length > 1 && html`<${Select} label=${t("data.target")} value=${target.name} choices=${about.targets.map(({ name }) => [name, name])}
      onchange=${(name) => set({ target: name, filters: tidy({ ...filters, classes: [] }) })} />`}
    ${target && html`<${Select} label=${t("data.class")} value=${one("classes")} choices=${[["", t("data.anyClass")], ...classes]} onchange=${choose("classes")} />`}
    ${about.parts.length > 0 && html`<${Select} label=${t("data.part")} value=${one("parts")} onchange=${choose("parts")}
      choices=${[["", t("data.anyPart")], ...about.parts.map((part) => [part, `${tOr(`data.part.${part}`, part)} (${count(counts?.parts[part] ?? 0)})`])]} />`}
    ${about.groups.length > 0 && html`<${Select} label=${t("data.group")} value=${one("groups")} onchange=${choose("groups")}
      choices=${[["", t("data.anyGroup")], ...about.groups.map((name) => [name, name])]} />`}
    <${Select} label=${t("data.state")} value=${filters.state || "all"} onchange=${(value) => change({ state: value })}
      choices=${STATES.map((name) => [name, t(`data.state.${name}`) + (counts?.[name] !== undefined ? ` (${count(counts[name])})` : "")])} />
    ${VALUES.filter((name) => values?.[name]).map((name) => html`<${Range} key=${name} name=${name} limits=${values[name]} value=${filters.ranges?.[name] || [null, null]}
      onchange=${(pair) => change({ ranges: tidy({ ...filters.ranges, [name]: pair[0] === null && pair[1] === null ? null : pair }) })} />`)}
    ${Object.keys(filters).length > 0 && html`<${Button} kind="link" onclick=${() => set({ filters: {} })}>${t("data.clear")}<//>`}
  </section>`;
}

/** The order of the images, and how large they are. */
export function Order({ values, state }) {
  const names = [...SORTS, ...VALUES.filter((name) => values?.[name]), ...(state.like >= 0 ? ["similarity"] : [])];
  return html`<div class="toolbar">
    <${Select} label=${t("data.sort")} value=${state.order} choices=${names.map((name) => [name, t(`data.sort.${name}`)])}
      onchange=${(order) => set({ order, descending: order === "loss" || order === "similarity" })} />
    <${Select} label=${t("data.direction")} value=${String(state.descending)} choices=${[["false", t("data.ascending")], ["true", t("data.descending")]]}
      onchange=${(value) => set({ descending: value === "true" })} />
    <${Choice} legend=${t("data.size")} name="size" value=${state.size} choices=${["small", "medium", "large"].map((name) => [name, t(`data.size.${name}`)])} onchange=${(size) => set({ size })} />
  </div>`;
}

function Range({ name, limits, value, onchange }) {
  const label = t(`data.value.${name}`), at = (n, words) => html`<${Field} label=${t(words, { name: label })} type="number" step="any" placeholder=${number(limits[n], 3)} value=${value[n] ?? ""}
    onchange=${(found) => onchange(n ? [value[0], Number.isNaN(found) ? null : found] : [Number.isNaN(found) ? null : found, value[1]])} />`;
  return html`<div class="range">${at(0, "data.from")}${at(1, "data.to")}</div>`;
}

/** Without what sets no condition, so that the address stays short. */
const tidy = (filters) => Object.fromEntries(Object.entries(filters).filter(([, value]) => value && value !== "all" && (typeof value !== "object" || Object.keys(value).length)));

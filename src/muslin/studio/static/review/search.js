// The search: which products, in which order. All of it is in the link.

import { debounce } from "/static/dom.js";
import { set, state } from "/static/state.js";
import { t } from "/static/texts.js";
import { Component, html } from "/static/html.js";
import { PAGE_SIZE } from "./session_pages.js";
import { textOf } from "./values.js";

const CHOICES = { state: ["open", "decided", "changed"], decisions: ["accept", "review", "out of scope"], kinds: ["value", "not_sure", "not_ours"], drawn: ["spot_check", "random", "uncertain", "asked"] };
const SORTS = ["confidence", "-confidence", "name", "-name", "date", "-date", "added"];
const LISTS = new Set(["decisions", "kinds", "drawn", "values", "decided_values", "who"]);
const MORE = ["kinds", "decided_values", "drawn", "min_confidence", "max_confidence", "since", "until", "who"];

export class Search extends Component {
  constructor(props) {
    super(props);
    this.later = debounce((name, value) => this.filter(name, value), 250);
  }

  filter(name, value) {
    const filters = { ...state.filters };
    if (value === "" || value === null || Number.isNaN(value)) delete filters[name];
    else filters[name] = LISTS.has(name) ? [value] : value;
    this.go({ filters, start: 0 });
  }

  go(changes) {
    set(changes);
  }

  chosen(name) {
    const value = state.filters[name];
    return LISTS.has(name) ? value?.[0] : value;
  }

  /** A menu; `choices`: [[value, words], …]. */
  menu(name, choices) {
    const chosen = JSON.stringify(this.chosen(name) ?? "");
    return html`<label class="field"><span>${t(`review.filter.${name}`)}</span>
      <select onchange=${(event) => this.filter(name, JSON.parse(event.target.value))}>
        <option value=${'""'} selected=${chosen === '""'}>${t("review.any")}</option>
        ${choices.map(([value, words]) => html`<option value=${JSON.stringify(value)} selected=${chosen === JSON.stringify(value)}>${words}</option>`)}
      </select></label>`;
  }

  known(name) {
    return this.menu(name, CHOICES[name].map((value) => [value, t(`review.${SHORT[name]}.${value}`)]));
  }

  number(name) {
    const value = this.chosen(name);
    return html`<label class="field"><span>${t(`review.filter.${name}`)}</span>
      <input type="number" min="0" max="100" step="1" value=${value === undefined ? "" : Math.round(100 * value)}
        oninput=${(event) => this.later(name, event.target.value === "" ? "" : Math.min(100, Math.max(0, event.target.valueAsNumber)) / 100)} /></label>`;
  }

  field(name, type = "text") {
    return html`<label class=${`field ${name}`}><span>${t(`review.filter.${name}`)}</span>
      <input type=${type} maxlength="200" value=${this.chosen(name) ?? ""} oninput=${(event) => this.later(name, event.target.value)} /></label>`;
  }

  render({ session }) {
    const { target, counts, sheets } = session, none = t("review.noLabel");
    const predicted = target.kind === "multiclass" ? target.classes.map((name) => [name, name])
      : (counts?.values || []).map(({ value }) => [value, textOf(value, none)]);
    const { start } = state, shown = sheets.search?.items.length || 0;
    return html`<form class="search" role="search" aria-label=${t("review.view.search")} onsubmit=${(event) => event.preventDefault()}>
      <div class="fieldrow">${this.field("text", "search")}${this.menu("values", predicted)}${this.known("state")}${this.known("decisions")}
        <label class="field"><span>${t("review.sort")}</span><select onchange=${(event) => this.go({ sort: event.target.value, start: 0 })}>
          ${SORTS.map((name) => html`<option value=${name} selected=${state.sort === name}>${t(`review.sort.${name}`)}</option>`)}</select></label></div>
      <details open=${MORE.some((name) => name in state.filters)}><summary>${t("review.more")}</summary>
        <div class="fieldrow">${this.menu("decided_values", predicted)}${this.known("kinds")}${this.known("drawn")}
          ${this.number("min_confidence")}${this.number("max_confidence")}${this.field("since", "date")}${this.field("until", "date")}${this.field("who")}</div></details>
      <div class="pager">
        <button type="button" disabled=${start === 0} onclick=${() => this.go({ start: Math.max(0, start - PAGE_SIZE) })}>‹ ${t("review.before")}</button>
        <span class="soft number">${shown ? t("review.fromTo", { from: start + 1, to: start + shown }) : t("review.noneFound")}</span>
        <button type="button" disabled=${!session.hasMore} onclick=${() => this.go({ start: start + PAGE_SIZE })}>${t("review.after")} ›</button>
        <span class="grow"></span>
        <button type="button" class="quiet" disabled=${!Object.keys(state.filters).length} onclick=${() => this.go({ filters: {}, start: 0 })}>${t("review.clearFilters")}</button>
      </div>
    </form>`;
  }
}

const SHORT = { state: "state", decisions: "decision", kinds: "kind", drawn: "drawn" };

// A page of products and what the person has marked on it. Nothing here is sent; see session.js.

import { alternatives, labelsOf, sameValue, valueOf } from "./values.js";

/** A mark: {kind: "value", value}, {kind: "not_sure"}, {kind: "not_ours"}, or {kind: "open"}: wrong, without a value yet. */
export class Sheet {
  /** @param origin "queue" (all are decided when the page is confirmed), "search" or "similar" (only marked ones). */
  constructor(target, items, origin) {
    this.target = target;
    this.items = items;
    this.origin = origin;
    this.marks = new Map();
    this.notes = new Map();
    this.refused = new Map(); // product → the store's sentence on the decision that it refused
    this.page = ""; // under which the server holds the products of a page of the queue
    this.others = []; // marked products of an earlier search, which this one does not show
    this.at = 0;
    this.anchor = 0; // of a range: from here to `at`
    this.since = Date.now();
  }

  /** Keep what was marked on the page of an earlier search. */
  keepMarks(before) {
    const shown = new Map(this.items.map((item) => [item.product, item]));
    this.marks = before.marks;
    this.notes = before.notes;
    this.refused = before.refused;
    this.others = [...before.others, ...before.items].filter((item) => !shown.has(item.product) && (this.marks.has(item.product) || this.notes.has(item.product)));
  }

  /** Show a product again, marked as it was decided, with the sentence of the refusal. */
  takeBack(item, { kind, value, note }, sentence) {
    if (!this.items.some((one) => one.product === item.product)) this.items = [...this.items, item];
    this.marks.set(item.product, kind === "value" ? { kind, value } : { kind });
    if (note) this.notes.set(item.product, note);
    this.refused.set(item.product, sentence);
  }

  /** Forget what is marked on a product; it leaves a page on which all are decided. */
  drop(product) {
    for (const known of [this.marks, this.notes, this.refused]) known.delete(product);
    this.others = this.others.filter((item) => item.product !== product);
    if (this.origin !== "search") this.items = this.items.filter((item) => item.product !== product);
    this.move(this.at);
  }

  get current() {
    return this.items[this.at];
  }

  /** The products that a key or a class button is about: the current one, or the range. */
  get chosen() {
    const [first, last] = [this.at, this.anchor].sort((a, b) => a - b);
    return this.items.slice(first, last + 1);
  }

  isChosen(index) {
    return this.anchor !== this.at && index >= Math.min(this.at, this.anchor) && index <= Math.max(this.at, this.anchor);
  }

  move(index, extend = false) {
    this.at = Math.max(0, Math.min(this.items.length - 1, index));
    if (!extend) this.anchor = this.at;
  }

  /** The value that counts now: the mark's, an earlier decision's, or the predicted one. */
  valueNow(item) {
    const mark = this.marks.get(item.product);
    if (mark) return mark.kind === "value" ? mark.value : mark.kind === "open" ? item.value : null;
    return item.decided ? item.decided.value : item.value;
  }

  mark(item, mark) {
    const isPredicted = mark?.kind === "value" && sameValue(mark.value, item.value) && !item.decided;
    if (!mark || (isPredicted && this.origin === "queue")) this.marks.delete(item.product);
    else this.marks.set(item.product, mark);
  }

  /** Mark a product as wrong, with the likeliest other class; or take the mark back. */
  toggle(item, corrections) {
    if (this.marks.has(item.product)) return this.marks.delete(item.product);
    const [likeliest] = this.target.kind === "multiclass" ? alternatives(item, corrections, 1) : [];
    this.marks.set(item.product, likeliest === undefined ? { kind: "open" } : { kind: "value", value: likeliest });
    return true;
  }

  /** Give the chosen products a class; with several labels: switch the label on or off. */
  setLabel(name) {
    for (const item of this.chosen) {
      if (this.target.kind === "multiclass") {
        this.mark(item, { kind: "value", value: name });
        continue;
      }
      const labels = labelsOf(this.valueNow(item));
      const changed = labels.includes(name) ? labels.filter((one) => one !== name) : [...labels, name];
      this.mark(item, { kind: "value", value: valueOf(this.target, changed) });
    }
  }

  /** Mark the chosen products as `kind`, or take that back. */
  setKind(kind) {
    const all = this.chosen.every((item) => this.marks.get(item.product)?.kind === kind);
    for (const item of this.chosen) this.mark(item, all ? null : { kind });
  }

  /** The index of the first product that is wrong and has no class yet, or -1. */
  get firstOpen() {
    return this.items.findIndex((item) => this.marks.get(item.product)?.kind === "open");
  }

  /** What confirming the page decides: [{item, kind, value, note}]. */
  decisions(everything = this.origin === "queue") {
    return [...this.others, ...this.items].filter((item) => everything || this.marks.has(item.product) || this.notes.has(item.product)).map((item) => {
      const mark = this.marks.get(item.product) || (item.decided && item.decided.kind !== "value" ? { kind: item.decided.kind } : { kind: "value", value: this.valueNow(item) });
      return { item, kind: mark.kind, value: mark.kind === "value" ? mark.value : null, note: this.notes.get(item.product) ?? item.decided?.note ?? "" };
    });
  }

  /** For a reload of the browser's tab. */
  toJSON() {
    return { target: this.target.name, items: this.items, origin: this.origin, marks: [...this.marks], notes: [...this.notes], refused: [...this.refused], at: this.at, since: this.since, page: this.page };
  }

  static fromJSON(target, saved) {
    const sheet = new Sheet(target, saved.items, saved.origin);
    sheet.marks = new Map(saved.marks);
    sheet.notes = new Map(saved.notes);
    sheet.refused = new Map(saved.refused);
    sheet.move(saved.at);
    sheet.since = saved.since;
    sheet.page = saved.page;
    return sheet;
  }
}

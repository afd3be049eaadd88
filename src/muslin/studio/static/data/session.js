// What a person does in a data set: what is current and selected, what is known of the images, decisions and undo.

import { ask, packedNow } from "/static/api.js";
import { announce } from "/static/dom.js";
import { count, percent, number, t, tn } from "/static/texts.js";
import { Outbox } from "../review/outbox.js";

const ROWS = 500; // rows of a request
const WAIT_MS = 60;
const MAX_BATCH = 1000; // decisions of one request

const stored = (name) => { try { return localStorage.getItem(`muslin-${name}`) || ""; } catch { return ""; } };
const store = (name, value) => { try { localStorage.setItem(`muslin-${name}`, value); } catch { /* it holds until the page is left */ } };

export class Session {
  constructor(about, target, run, changed) {
    this.about = about;
    this.target = about.targets.find((one) => one.name === target) || about.targets[0] || null;
    this.run = run;
    this.changed = changed;
    this.rows = new Map();
    this.wanted = new Set();
    this.selected = new Set();
    this.current = -1;
    this.last = new Map(); // index → number of the last decision that this page made
    this.who = stored("who");
    this.told = [];
    this.outbox = new Outbox(`:data:${about.data}`, { decide: (batch) => this.send(batch), undo: (batch) => this.sendUndo(batch) }, () => this.changed(), () => {}, () => this.changed());
    this.outbox.run();
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.outbox.timer);
    this.isClosed = true;
  }

  setName(who) {
    this.who = who;
    store("who", who);
    this.changed();
  }

  get of() { return { data: this.about.data, target: this.target?.name ?? null, run: this.run || null }; }

  // --- what is known of the images

  needRows(indices) {
    for (const index of indices) if (!this.rows.has(index)) this.wanted.add(index);
    if (!this.wanted.size) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.loadRows(), WAIT_MS);
  }

  async loadRows() {
    const images = [...this.wanted].slice(-ROWS);
    this.wanted.clear();
    try { this.take((await ask("/api/data/rows", { ...this.of, images })).rows); } catch (error) { this.error = error; this.changed(); }
  }

  take(rows) {
    if (this.isClosed) return;
    if (this.rows.size > 20_000) this.rows.clear();
    for (const row of rows) this.rows.set(row.index, row);
    this.changed();
  }

  async refresh(indices) {
    for (let start = 0; start < indices.length; start += ROWS) {
      this.take((await ask("/api/data/rows", { ...this.of, images: indices.slice(start, start + ROWS) })).rows);
    }
    this.onDecided?.();
  }

  labelText(label) {
    const names = (Array.isArray(label) ? label : label === null || label === undefined ? [] : [label]).map((one) => this.target?.classes[one] ?? "?");
    return names.join(" + ") || t("data.noLabel");
  }

  captionOf(index) {
    const row = this.rows.get(index);
    return row ? this.labelText(row.label) : " ";
  }

  signsOf(index) {
    const row = this.rows.get(index);
    if (!row) return [];
    const isCorrected = JSON.stringify(row.label) !== JSON.stringify(row.given);
    return [row.is_excluded && ["×", "excluded"], isCorrected && ["✎", "corrected"], !isCorrected && row.decisions.some((one) => one.kind === "label") && ["✓", "confirmed"]].filter(Boolean);
  }

  wordsOf(index, position) {
    const row = this.rows.get(index);
    if (!row) return t("data.image", { n: count(position + 1) });
    const signs = this.signsOf(index).map(([, name]) => t(`data.sign.${name}`));
    return [row.id, this.labelText(row.label), ...signs].join(", ");
  }

  valuesText(row) {
    const texts = Object.entries(row.values).filter(([, value]) => value !== null).map(([name, value]) => `${t(`data.value.${name}`)} ${name === "confidence" ? percent(value) : number(value, 3)}`);
    if (row.predicted !== null) texts.unshift(t("data.predicted", { name: this.labelText(row.predicted) }));
    return texts.join(" · ");
  }

  // --- current and selected

  position(order) {
    return this.place !== undefined && order[this.place] === this.current ? this.place : order.indexOf(this.current);
  }

  select(order, position, { extend = false, toggle = false, move = false } = {}) {
    const index = order[position], from = Math.max(0, this.anchor ?? this.position(order));
    if (extend) {
      this.anchor = from;
      const [first, last] = [Math.min(from, position), Math.max(from, position)];
      this.selected = new Set(order.subarray(first, last + 1));
    } else {
      if (toggle) { if (!this.selected.delete(index)) this.selected.add(index); }
      else if (!move) this.selected = new Set([index]);
      else if (this.selected.size <= 1) this.selected = new Set([index]);
      this.anchor = position;
    }
    this.current = index;
    this.place = position;
    this.changed();
  }

  selectAll(order) {
    this.selected = new Set(order);
    announce(tn("data.selected", order.length));
    this.changed();
  }

  choose(indices) {
    this.selected = new Set(indices);
    this.current = indices[0] ?? -1;
    this.place = this.anchor = undefined;
    this.changed();
  }

  /** What a key or a button decides on: the selected images, else the current one. */
  get chosen() {
    return this.selected.size ? [...this.selected] : this.current >= 0 ? [this.current] : [];
  }

  // --- decisions

  setLabel(name, indices = this.chosen) {
    const isSeveral = this.target?.kind === "multilabel", at = this.target?.classes.indexOf(name);
    const all = isSeveral && indices.every((index) => this.rows.get(index)?.label?.includes(at));
    this.decide(indices, { kind: "label", target: this.target.name, label: name, ...(isSeveral ? { answer: all ? "no" : "yes" } : {}) }, name);
  }

  /** Say of images that their labels are correct. */
  confirm(indices = this.chosen) {
    for (const [label, of] of Map.groupBy(indices.filter((index) => Number.isInteger(this.rows.get(index)?.label)), (index) => this.rows.get(index).label)) {
      this.setLabel(this.target.classes[label], of);
    }
  }

  setExcluded(indices = this.chosen) {
    const all = indices.every((index) => this.rows.get(index)?.is_excluded);
    this.decide(indices, { kind: all ? "include" : "exclude" }, t(all ? "data.included" : "data.excluded"));
  }

  decide(indices, decision, words) {
    if (!indices.length) return;
    for (let start = 0; start < indices.length; start += MAX_BATCH) {
      const some = indices.slice(start, start + MAX_BATCH);
      this.outbox.add({ who: this.who || t("data.me"), words, decisions: some.map((index) => ({ request: crypto.randomUUID(), index, ...decision })) });
    }
    this.shownAtOnce(indices, decision);
    announce(tn("data.decided", indices.length, { words }));
  }

  /** The labels as they will be, before the server has them. */
  shownAtOnce(indices, { kind, label, answer }) {
    const at = this.target?.classes.indexOf(label);
    for (const index of indices) {
      const row = this.rows.get(index);
      if (!row) continue;
      const labels = answer && (answer === "yes" ? [...new Set([...(row.label || []), at])].sort((a, b) => a - b) : row.label.filter((one) => one !== at));
      this.rows.set(index, { ...row, ...(kind === "label" ? { label: answer ? labels : at } : { is_excluded: kind === "exclude" }) });
    }
    this.changed();
  }

  async send(batch) {
    const decisions = batch.decisions.map((one) => ({ ...one, after: this.known(one.index) }));
    const found = await ask("/api/data/decide", { data: this.about.data, who: batch.who, decisions });
    this.told_(batch, found.receipts);
    await this.refresh(batch.decisions.map((one) => one.index)).catch(() => {});
    return found;
  }

  async sendUndo(batch) {
    const decisions = batch.decisions.map((one, n) => ({ request: batch.undoRequests[n], index: one.index, kind: "undo", undoes: batch.receipts[n].number, after: this.known(one.index) }));
    this.told_(batch, (await ask("/api/data/decide", { data: this.about.data, who: batch.who, decisions })).receipts);
    await this.refresh(batch.decisions.map((one) => one.index)).catch(() => {});
  }

  known(index) {
    const row = this.rows.get(index);
    return Math.max(0, this.last.get(index) || 0, ...(row?.decisions || []).map((one) => one.number));
  }

  /** Keep the numbers of what was written, and the decisions of others that it replaced. */
  told_(batch, receipts) {
    receipts.forEach((receipt, n) => this.last.set(batch.decisions[n].index, Math.max(receipt.number, this.last.get(batch.decisions[n].index) || 0)));
    const others = receipts.filter((receipt) => receipt.earlier).map((receipt) => receipt.earlier);
    if (others.length) this.told = others;
  }

  get lastBatch() {
    return this.outbox.batches.findLast((batch) => batch.wanted === "decided" && !batch.undone);
  }

  undo() {
    const batch = this.lastBatch;
    if (!batch) return;
    this.outbox.undo(batch);
    announce(t("data.undone"));
  }
}

/** The indices of the images that are wanted, in order, and counts of all. */
export async function listed(of, { filters, order, descending, like }) {
  const { header, data } = await packedNow("/api/data/list", { ...of, filters, sort: order, descending, like: like >= 0 ? like : null });
  return { header, order: data };
}

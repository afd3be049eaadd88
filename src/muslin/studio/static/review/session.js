// One person at one store: the page of products in front of them, what they have decided, and what comes next.

import { announce } from "/static/dom.js";
import { adopt, state } from "/static/state.js";
import { t, tn } from "/static/texts.js";
import { Outbox } from "./outbox.js";
import * as requests from "./requests.js";
import { Sheet } from "./sheet.js";
import { labelsOf, sameValue, summaryOf, textOf } from "./values.js";

export const PAGE_SIZE = 48;
const SIMILAR = 24;
const LOCK_MS = 540_000; // the server holds a page for ten minutes
const CLAIM_MS = 1000; // the page before a reload is gone by then
const LONGEST_S = 600; // a page that was left open for longer says nothing on how long decisions take
const PHOTO_SIDES = [224, 448, 896]; // the server prepares those of the first size

/** Whether this tab is the only one with this id; it is until the tab is closed. A copied tab has the same storage. */
function claim(tab) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const hold = () => { resolve(true); return new Promise(() => {}); };
    navigator.locks.request(`muslin-review/${tab}`, { signal: AbortSignal.timeout(CLAIM_MS) }, hold).catch(() => resolve(false));
  });
}

const sessions = new Map();

/** The session of a store: one until the tab is closed, so that a change of language or view loses no mark. */
export async function sessionOf(store) {
  if (!sessions.has(store)) sessions.set(store, new Session(store, await requests.openStore({ store })));
  return sessions.get(store);
}

export class Session {
  constructor(store, opened) {
    this.store = store;
    this.opened = opened;
    this.targets = opened.targets;
    this.target = this.targets.find((one) => one.name === state.target) || this.targets[0];
    this.counts = opened.counts?.[this.target.name] || null;
    this.tab = crypto.randomUUID(); // a copy of this tab finds by it that it is one
    this.watchers = new Set();
    this.sheets = { queue: null, search: null }; // of the views; null: being loaded
    this.error = { queue: "", search: "", other: "" };
    this.hasMore = false; // of the search
    this.corrections = {}; // per predicted value, how often people chose which other class: proposals
    this.ended = false;
    this.isLoaded = false; // a page of the queue was shown, or is being loaded
    this.attempt = 0; // counts up when a connection is back: photos that failed are loaded again
    this.ahead = null; // the next page of the queue, as a promise
    this.aheadItems = null;
    this.aheadPage = "";
    this.behind = []; // pages that an undo has pushed back
    this.done = new Set(); // products that were decided in this tab
    this.dialog = ""; // zoom, similar, happened, keys, name
    this.similar = null;
    this.side = this.stored("size") || "M";
    this.who = this.stored("who") || "";
    this.confirmed = new Map(); // pages of this tab by the key of their batch, so that undo brings them back with their marks
    this.refusedItems = new Map(); // by the key of their batch
    this.outbox = new Outbox(opened.id || store, { decide: (batch) => this.sendDecisions(batch), undo: (batch) => this.sendUndo(batch) }, () => this.changed(), () => this.connected(), (alone, batch) => this.refusedOne(alone, batch));
    this.outbox.run();
    if (!this.who) this.dialog = "name";
  }

  // --- being watched

  watch(watcher) {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  changed() {
    for (const watcher of this.watchers) watcher();
    this.keepDraft();
  }

  /** Products that a person is to look at, and how many of them are decided. */
  get progress() {
    return this.counts?.queue || { total: 0, decided: 0 };
  }

  get view() {
    return state.view === "search" || state.view === "status" ? state.view : "queue";
  }

  /** The page in front of the person, or null. */
  get sheet() {
    return this.dialog === "similar" ? this.similar : this.sheets[this.view] || null;
  }

  stored(name) {
    try { return localStorage.getItem(`muslin-review-${name}`); } catch { return null; }
  }

  store_(name, value) {
    try { localStorage.setItem(`muslin-review-${name}`, value); } catch { /* it holds until the page is left */ }
  }

  setName(who) {
    this.who = who;
    this.store_("who", who);
    this.dialog = "";
    this.load();
  }

  setSize(side) {
    this.side = side;
    this.store_("size", side);
    this.changed();
  }

  photo(item, number = 0, least = 160) {
    const wanted = least * Math.min(2, devicePixelRatio || 1);
    return requests.photo(this.store, item, number, PHOTO_SIDES.find((side) => side >= 0.9 * wanted) || 2048);
  }

  /** Another model is active: its predictions, classes and counts are others. */
  async modelChanged() {
    this.opened = await requests.openStore({ store: this.store });
    this.targets = this.opened.targets;
    this.target = this.targets.find((one) => one.name === this.target.name) || this.targets[0];
    this.setTarget(this.target.name);
  }

  // --- loading

  /** Load what the view needs and does not have. */
  load() {
    if (!this.who) return this.changed();
    if (this.view === "queue" && !this.sheets.queue) this.showNext();
    if (this.view === "search") this.search();
    return this.changed();
  }

  setTarget(name) {
    this.release([...[this.sheets.queue, ...this.behind].map((sheet) => sheet?.page), this.aheadPage].filter(Boolean));
    this.target = this.targets.find((one) => one.name === name);
    adopt({ target: name, start: 0 });
    this.sheets = { queue: null, search: null };
    this.ahead = null;
    this.aheadItems = null;
    this.behind = [];
    this.done = new Set();
    this.ended = false;
    this.counts = this.opened.counts[name];
    this.load();
  }

  /** Let others have the products of pages. */
  release(pages) {
    const given = pages.map((page) => requests.release({ store: this.store, who: this.who, page }));
    return Promise.all(given).catch(() => { /* they become free on their own, after ten minutes */ });
  }

  get draftKey() {
    return `muslin-review-draft/${this.store}`;
  }

  /** The pages of this tab with their marks, for a reload: the server still holds these products for this person. */
  keepDraft() {
    const { queue } = this.sheets;
    try {
      if (queue) sessionStorage.setItem(this.draftKey, JSON.stringify({ who: this.who, tab: this.tab, sheets: [queue, ...this.behind], ahead: this.aheadItems, aheadPage: this.aheadPage }));
      else if (this.isLoaded) sessionStorage.removeItem(this.draftKey);
    } catch { /* without storage a reload loses the marks of one page */ }
  }

  /** Take up the pages that a reload has left. Not in a copy of a tab that still has them. */
  async restoreDraft() {
    let saved = null;
    try { saved = JSON.parse(sessionStorage.getItem(this.draftKey)); } catch { /* none */ }
    const isOwn = saved && saved.who === this.who && saved.sheets[0].target === this.target.name && Date.now() - saved.sheets[0].since < LOCK_MS;
    if (!isOwn || !(await claim(saved.tab))) {
      claim(this.tab);
      return null;
    }
    this.tab = saved.tab;
    const [sheet, ...behind] = saved.sheets.map((one) => Sheet.fromJSON(this.target, one));
    this.behind = behind;
    this.aheadPage = saved.aheadPage;
    if (saved.ahead) this.ahead = Promise.resolve(this.fetched(this.target, saved.ahead));
    else if (saved.aheadPage) await this.release([saved.aheadPage]); // the reload was quicker than the answer
    return sheet;
  }

  /** Products that are on a page of this tab, or decided and perhaps not yet with the server. */
  get taken() {
    const known = new Set(this.done);
    for (const sheet of [this.sheets.queue, ...this.behind]) for (const item of sheet?.items || []) known.add(item.product);
    for (const batch of this.outbox.waiting) for (const one of batch.decisions) known.add(one.product);
    return known;
  }

  async fetchNext() {
    const { items, counts } = await requests.nextItems({ store: this.store, target: this.target.name, who: this.who, count: PAGE_SIZE, filters: {}, page: this.aheadPage });
    this.take(counts);
    const taken = this.taken, left = items.filter((item) => !taken.has(item.product));
    return left;
  }

  /** A page that was fetched ahead; its photos are loaded. */
  fetched(target, items) {
    this.aheadItems = items;
    this.keepDraft();
    return { target, items, page: this.aheadPage, at: Date.now(), photos: items.map((item) => Object.assign(new Image(), { src: this.photo(item) })) };
  }

  prepare() {
    const target = this.target;
    this.aheadPage = crypto.randomUUID(); // under which the server holds the products, so that they can be given back
    this.aheadItems = null;
    this.keepDraft();
    this.ahead = this.fetchNext().then((items) => this.fetched(target, items), (error) => ({ target, error }));
  }

  async showNext() {
    if (this.isShowing) return;
    this.isShowing = true;
    try { await this.showNextPage(); } finally { this.isShowing = false; }
    const isLeft = !this.sheets.queue && !this.ended && !this.error.queue; // another target was chosen meanwhile
    if (isLeft && this.view === "queue") this.showNext();
  }

  async showNextPage() {
    if (!this.isLoaded) {
      this.isLoaded = true;
      this.sheets.queue = await this.restoreDraft();
      if (this.sheets.queue) {
        if (!this.ahead) this.prepare();
        return this.placeRefused();
      }
    }
    this.sheets.queue = null;
    this.error.queue = "";
    this.changed();
    if (this.behind.length) {
      this.sheets.queue = this.behind.pop();
      return this.placeRefused();
    }
    if (!this.ahead) this.prepare();
    const { target, items: fetched, page, at, error } = await this.ahead;
    if (target !== this.target || this.sheets.queue) return undefined; // an undo was quicker: this page stays ahead
    this.ahead = null;
    this.aheadItems = null;
    if (at < Date.now() - LOCK_MS) return this.showNextPage(); // others may have these products by now
    const items = fetched?.filter((item) => !this.done.has(item.product));
    if (fetched?.length && !items.length) return this.showNextPage();
    if (error) {
      this.error.queue = error.status ? error.message : t("review.continues");
      if (!error.status) setTimeout(() => this.connected(), 3000);
      return this.changed();
    }
    this.ended = items.length === 0;
    this.sheets.queue = this.ended ? null : new Sheet(this.target, items, "queue");
    if (!this.ended) {
      this.sheets.queue.page = page;
      this.prepare();
      announce(tn("review.pageOf", items.length, { value: textOf(items[0].value, t("review.noLabel")) }));
    }
    return this.placeRefused();
  }

  /** Ask again for what the view shows. */
  reload() {
    this.ended = false;
    this.ahead = null;
    this.error[this.view] = "";
    if (this.view === "queue") this.sheets.queue = null;
    return this.load();
  }

  /** There is a connection, or there may be one: load what failed. */
  connected() {
    if (!this.sheets.queue && this.error.queue) this.showNext();
    this.attempt += 1;
    this.changed();
  }

  async search() {
    this.error.search = "";
    const { filters, sort, start } = state;
    try {
      const found = await requests.findItems({ store: this.store, target: this.target.name, filters, sort, start, count: PAGE_SIZE + 1 });
      const sheet = new Sheet(this.target, found.items.slice(0, PAGE_SIZE), "search"), before = this.sheets.search;
      if (before?.target === this.target) sheet.keepMarks(before);
      this.sheets.search = sheet;
      this.hasMore = found.items.length > PAGE_SIZE;
      announce(tn("review.found", sheet.items.length));
    } catch (error) { this.error.search = error.message; }
    this.placeRefused();
  }

  take(counts) {
    if (counts) this.counts = counts;
  }

  // --- marking

  move(index, extend) {
    this.sheet.move(index, extend);
    this.changed();
  }

  toggle(index) {
    const sheet = this.sheet, item = sheet.items[index];
    sheet.move(index);
    sheet.toggle(item, this.corrections);
    this.say(item);
    this.changed();
  }

  setLabel(name) {
    this.sheet.setLabel(name);
    this.say(this.sheet.current);
    this.changed();
  }

  setLabelOf(index, name) {
    this.sheet.move(index);
    this.setLabel(name);
  }

  setKind(kind) {
    this.sheet.setKind(kind);
    this.say(this.sheet.current);
    this.changed();
  }

  setNote(text) {
    this.sheet.notes.set(this.sheet.current.product, text);
    this.changed();
  }

  say(item) {
    const mark = this.sheet.marks.get(item.product);
    announce(mark ? (mark.kind === "value" ? textOf(mark.value, t("review.noLabel")) : t(`review.kind.${mark.kind}`)) : t("review.asPredicted"));
  }

  async addClass(name) {
    try {
      const { classes } = await requests.addClass({ store: this.store, target: this.target.name, name, who: this.who });
      this.target.classes = classes;
      this.error.other = "";
      if (this.sheet) this.setLabel(name);
    } catch (error) { this.error.other = error.message; }
    this.changed();
  }

  // --- deciding

  /** Decide the page: everything on it, or what is marked. False where a product still needs a class. */
  confirm(everything) {
    const sheet = this.sheet;
    if (!sheet) return false;
    if (sheet.firstOpen >= 0) {
      sheet.move(sheet.firstOpen);
      announce(t("review.needsClass"));
      this.changed();
      return false;
    }
    const decisions = sheet.decisions(everything);
    if (!decisions.length) return false;
    const batch = this.outbox.add(this.batchOf(sheet, decisions));
    this.confirmed.set(batch.key, sheet);
    for (const { item } of decisions) this.decidedAnew(sheet, item.product);
    this.learn(decisions);
    announce(tn("review.decidedN", decisions.length));
    if (sheet.origin === "queue") this.showNext();
    else if (sheet.origin === "similar") this.closeDialog();
    else this.showDecided(sheet, decisions);
    return true;
  }

  batchOf(sheet, decisions) {
    const seconds = Math.min(LONGEST_S, (Date.now() - sheet.since) / 1000) / decisions.length;
    const sent = decisions.map(({ item, kind, value, note }) => ({
      product: item.product, target: this.target.name, kind, value, note, request: crypto.randomUUID(), fingerprint: item.fingerprint, digest: item.digest,
      after: item.decided?.id ?? null, seconds,
      shown: { value: item.value, probability: item.probability, decision: item.decision, drawn: item.drawn, view: sheet.origin },
    }));
    return { who: this.who, target: this.target.name, value: decisions[0].item.value, summary: summaryOf(sent), decisions: sent };
  }

  learn(decisions) {
    for (const { item, kind, value } of decisions) {
      if (kind !== "value" || sameValue(value, item.value) || Array.isArray(value)) continue;
      const of = (this.corrections[textOf(item.value)] ??= {});
      of[value] = (of[value] || 0) + 1;
    }
  }

  /** In the search the page stays, with what was decided. */
  showDecided(sheet, decisions) {
    for (const { item, kind, value, note } of decisions) item.decided = { id: null, kind, value, note, who: this.who, at: new Date().toISOString(), before: item.decided };
    sheet.marks.clear();
    sheet.notes.clear();
    sheet.others = [];
    this.changed();
  }

  async sendDecisions(batch) {
    const answer = await requests.decide({ store: this.store, who: batch.who, decisions: batch.decisions });
    this.take(answer.counts[this.target.name]);
    this.markIds(batch, answer.receipts);
    if (batch.isAlone) this.takeOff(batch);
    return answer;
  }

  // --- refused decisions

  /** The server refused one decision of a batch: its photo leaves the decided page, and comes back on the one in front. */
  refusedOne(alone, batch) {
    const sheet = this.confirmed.get(batch.key), { product } = alone.decisions[0];
    const item = sheet?.items.find((one) => one.product === product);
    if (item) {
      if (item.decided?.id === null) item.decided = item.decided.before; // the search shows it as decided
      this.refusedItems.set(alone.key, item);
      if (sheet.origin !== "search") sheet.drop(product);
    }
    announce(`${alone.name}: ${alone.refused}`);
    this.placeRefused();
  }

  get pages() {
    return [this.sheets.queue, this.sheets.search, ...this.behind].filter(Boolean);
  }

  /** Put the photos of refused decisions on the page, each once. One that the store does not have stays in the list of what happened. */
  async placeRefused() {
    this.changed();
    for (const batch of this.outbox.returned) {
      const [decision] = batch.decisions;
      if (batch.target !== this.target.name || this.pages.some((sheet) => sheet.refused.has(decision.product))) continue;
      try {
        const item = this.refusedItems.get(batch.key) || (await requests.oneItem({ store: this.store, target: batch.target, product: decision.product })).item;
        this.refusedItems.set(batch.key, item);
      } catch { continue; }
      this.placeOne(batch, decision);
    }
  }

  placeOne(batch, decision) {
    if (batch.target !== this.target.name || !this.outbox.returned.includes(batch)) return; // changed meanwhile
    if (!this.sheets.queue && this.ended) {
      this.sheets.queue = new Sheet(this.target, [], "queue");
      this.ended = false;
    }
    const sheet = (decision.shown.view === "search" && this.sheets.search) || this.sheets.queue;
    if (!sheet) return; // the page is being loaded
    sheet.takeBack(this.refusedItems.get(batch.key), decision, batch.refused);
    this.changed();
  }

  /** A product is decided: an earlier decision on it that was refused is not needed any more. */
  decidedAnew(sheet, product) {
    this.done.add(product);
    sheet.refused.delete(product);
    const earlier = this.outbox.returned.find((batch) => batch.target === sheet.target.name && batch.decisions[0].product === product);
    if (earlier) this.outbox.forget(earlier);
  }

  /** Give up refused decisions: their products are open again. */
  discard(batch) {
    this.outbox.forget(batch);
    for (const { product } of batch.decisions) this.done.delete(product);
    if (batch.isAlone) this.takeOff(batch);
  }

  discardOf(product) {
    const batch = this.outbox.returned.find((one) => one.target === this.target.name && one.decisions[0].product === product);
    if (batch) this.discard(batch);
  }

  /** Take the photo of a refused decision off the page. */
  takeOff({ decisions: [{ product }] }) {
    for (const sheet of this.pages) if (sheet.refused.has(product)) sheet.drop(product);
    this.behind = this.behind.filter((sheet) => sheet.items.length);
    if (this.sheets.queue && !this.sheets.queue.items.length) this.showNext();
    this.changed();
  }

  /** The ids of the decisions on pages that are still in front of the person, so that a second change follows the first. */
  markIds(batch, receipts) {
    const sheet = this.confirmed.get(batch.key);
    if (sheet?.origin !== "search") return;
    batch.decisions.forEach(({ product }, n) => {
      const item = sheet.items.find((one) => one.product === product);
      if (item?.decided && item.decided.id === null) item.decided.id = receipts[n].id;
    });
  }

  async sendUndo(batch) {
    const undos = batch.receipts.map((receipt, n) => ({ decision: receipt.id, request: batch.undoRequests[n] }));
    const { counts } = await requests.undo({ store: this.store, who: batch.who, undos });
    this.take(counts[this.target.name]);
    if (this.view === "search") this.search();
  }

  // --- undoing

  /** Take a batch back. Its page comes back with its marks, and the page in front waits behind it. */
  undo(batch = this.lastBatch) {
    if (!batch) return;
    const sheet = this.confirmed.get(batch.key);
    this.outbox.undo(batch);
    for (const one of batch.decisions) this.done.delete(one.product);
    announce(tn("review.undone", batch.decisions.length));
    if (sheet?.origin === "queue" && batch.target === this.target.name) {
      if (this.sheets.queue) this.behind.push(this.sheets.queue);
      sheet.since = Date.now();
      this.sheets.queue = sheet;
      this.ended = false;
      adopt({ view: "queue" });
    }
    this.changed();
  }

  /** The last batch that counts. */
  get lastBatch() {
    return this.outbox.batches.filter((batch) => batch.wanted === "decided" && !(batch.isAlone && batch.refused)).at(-1);
  }

  // --- dialogs

  openDialog(name) {
    this.dialog = name;
    this.changed();
  }

  closeDialog() {
    this.dialog = "";
    this.similar = null;
    this.changed();
  }

  /** The nearest undecided photos of the current product, with its value already chosen. */
  async findSimilar() {
    const sheet = this.sheet, item = sheet?.current;
    if (!item || this.dialog === "similar") return;
    const mark = sheet.marks.get(item.product) || { kind: item.decided?.kind || "value", value: sheet.valueNow(item) };
    this.dialog = "similar";
    this.similar = null;
    this.similarTo = { item, mark };
    this.error.other = "";
    this.changed();
    try {
      const { items } = await requests.similarItems({ store: this.store, target: this.target.name, product: item.product, count: SIMILAR });
      const taken = this.taken;
      this.similar = new Sheet(this.target, items.filter((one) => !taken.has(one.product)), "similar");
      this.similar.given = mark.kind === "open" ? { kind: "value", value: item.value } : mark;
      for (const one of this.similar.items) this.similar.marks.set(one.product, this.similar.given);
    } catch (error) { this.error.other = error.message; }
    this.changed();
  }

  /** In the dialog of similar photos a click leaves one out, or takes it in again. */
  toggleSimilar(index) {
    const sheet = this.similar, product = sheet.items[index].product;
    sheet.move(index);
    if (sheet.marks.has(product)) sheet.marks.delete(product);
    else sheet.marks.set(product, sheet.given);
    this.changed();
  }

  labelsNow() {
    const sheet = this.sheet;
    return sheet?.current ? labelsOf(sheet.valueNow(sheet.current)) : [];
  }
}

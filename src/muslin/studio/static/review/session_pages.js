// Getting pages: the next one of the queue, one ahead of it, what a reload has left, and the search.

import { announce } from "/static/dom.js";
import { adopt, state } from "/static/state.js";
import { t, tn } from "/static/texts.js";
import * as requests from "./requests.js";
import { SessionState } from "./session_state.js";
import { Sheet } from "./sheet.js";
import { textOf } from "./values.js";

export const PAGE_SIZE = 48;
const LOCK_MS = 540_000; // the server holds a page for ten minutes
const CLAIM_MS = 1000; // the page before a reload is gone by then

/** Whether this tab is the only one with this id; it is until the tab is closed. A copied tab has the same storage. */
function claim(tab) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const hold = () => { resolve(true); return new Promise(() => {}); };
    navigator.locks.request(`muslin-review/${tab}`, { signal: AbortSignal.timeout(CLAIM_MS) }, hold).catch(() => resolve(false));
  });
}

export class SessionPages extends SessionState {
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

  /** What the server counts for a target. */
  take(counts, name = this.target.name) {
    if (!counts) return;
    this.opened.counts[name] = counts;
    if (name === this.target.name) this.counts = counts;
  }
}

// What a session knows: the person, the store, the target, and the pages in front of them. Whoever shows it watches it.

import { state } from "/static/state.js";
import { Outbox } from "./outbox.js";
import * as requests from "./requests.js";

const PHOTO_SIDES = [224, 448, 896]; // the server prepares those of the first size

export class SessionState {
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
}

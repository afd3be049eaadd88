// Deciding a page, what the server refuses of it, and undoing it.

import { announce } from "/static/dom.js";
import { adopt } from "/static/state.js";
import { t, tn } from "/static/texts.js";
import * as requests from "./requests.js";
import { SessionPages } from "./session_pages.js";
import { Sheet } from "./sheet.js";
import { sameValue, summaryOf, textOf } from "./values.js";

const LONGEST_S = 600; // a page that was left open for longer says nothing on how long decisions take

export class SessionDecisions extends SessionPages {
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
    for (const [name, counts] of Object.entries(answer.counts)) this.take(counts, name);
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
}

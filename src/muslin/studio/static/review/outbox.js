// Decisions on their way: each page of decisions is a batch, kept in the browser's storage until the server has it on
// disk. A batch is sent again after a lost connection; its requests' ids keep it from counting twice. A decision that
// the server refuses becomes a batch of its own, and the others are sent without it.

import { summaryOf } from "./values.js";

const KEPT = 30; // batches that are done, for "what happened"
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];

export class Outbox {
  /**
   * @param name of the store: the prefix in the browser's storage.
   * @param send {decide(batch) → {receipts}, undo(batch) → receipts}, each a promise.
   * @param changed called after every change.
   * @param connected called when a lost connection is back.
   * @param refusedOne called with the batch of one refused decision and the batch that it was in.
   */
  constructor(name, send, changed, connected, refusedOne) {
    this.prefix = `muslin-review/${name}/`;
    this.send = send;
    this.changed = changed;
    this.connected = connected;
    this.refusedOne = refusedOne;
    this.batches = this.load();
    this.offline = "";
    this.failures = 0;
    this.timer = 0;
    this.busy = false;
    addEventListener("online", () => this.retry());
    addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
  }

  load() {
    const found = [];
    for (let n = 0; n < localStorage.length; n++) {
      const key = localStorage.key(n);
      if (!key.startsWith(this.prefix)) continue;
      try { found.push(JSON.parse(localStorage.getItem(key))); } catch { /* cut off by a full disk: it was never confirmed as saved */ }
    }
    return found.sort((a, b) => a.at - b.at);
  }

  /** Keep a batch: {decisions, who, target, summary}; it is on its way when this returns. */
  add(batch) {
    const added = { key: crypto.randomUUID(), at: Date.now(), receipts: null, tried: 0, wanted: "decided", undone: false, refused: "", ...batch };
    this.batches.push(added);
    this.save(added);
    this.run();
    return added;
  }

  undo(batch) {
    batch.wanted = "undone";
    if (!batch.tried) batch.undone = true; // it never left this computer
    batch.undoRequests ??= batch.decisions.map(() => crypto.randomUUID());
    this.save(batch);
    this.run();
  }

  forget(batch) {
    this.batches = this.batches.filter((one) => one !== batch);
    localStorage.removeItem(this.prefix + batch.key);
    this.changed();
  }

  save(batch) {
    try {
      localStorage.setItem(this.prefix + batch.key, JSON.stringify(batch));
      batch.isKept = true;
    } catch { batch.isKept = false; /* the browser's storage is full: it stays in memory, and leaving the page asks */ }
    const done = this.batches.filter((one) => this.isDone(one));
    for (const old of done.slice(0, Math.max(0, done.length - KEPT))) this.forget(old);
    this.changed();
  }

  isDone(batch) {
    return batch.undone || (batch.receipts !== null && batch.wanted === "decided");
  }

  get waiting() {
    return this.batches.filter((batch) => !this.isDone(batch) && !batch.refused);
  }

  get refused() {
    return this.batches.filter((batch) => !this.isDone(batch) && batch.refused);
  }

  /** Refused decisions that are batches of their own. */
  get returned() {
    return this.refused.filter((batch) => batch.isAlone);
  }

  get unsaved() {
    return this.batches.some((batch) => !this.isDone(batch) && batch.isKept === false);
  }

  /** How many decisions the server does not have yet. */
  get waitingCount() {
    return this.waiting.reduce((sum, batch) => sum + batch.decisions.length, 0);
  }

  retry() {
    clearTimeout(this.timer);
    for (const batch of this.refused) batch.refused = "";
    this.run();
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      for (let batch; (batch = this.waiting[0]);) await this.step(batch);
      if (this.offline) this.connected();
      this.offline = "";
      this.failures = 0;
    } catch (error) {
      this.offline = error.message;
      this.timer = setTimeout(() => this.run(), RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)]);
    } finally {
      this.busy = false;
      this.changed();
    }
  }

  /** Send one batch. Throws where there is no answer, so that it is tried again. */
  async step(batch) {
    batch.tried += 1;
    this.save(batch);
    try {
      if (batch.receipts === null) batch.receipts = (await this.send.decide(batch)).receipts;
      else {
        await this.send.undo(batch);
        batch.undone = true;
      }
    } catch (error) {
      if (!error.status || error.status === 429 || error.status >= 500) throw error;
      const one = batch.receipts === null && batch.decisions[error.params?.index];
      if (one) this.setAside(batch, one, error);
      else batch.refused = error.message;
    }
    this.save(batch);
  }

  /** Take the decision that the server refuses out of its batch. It is kept before the others go on without it. */
  setAside(batch, one, { message, params }) {
    if (batch.wanted === "decided") {
      const alone = batch.decisions.length === 1 ? batch : { ...batch, key: crypto.randomUUID(), decisions: [one], summary: summaryOf([one]) };
      Object.assign(alone, { refused: message, isAlone: true, name: params.product_name || batch.name || "" });
      if (alone !== batch) this.batches.splice(this.batches.indexOf(batch), 0, alone);
      this.save(alone);
      this.refusedOne(alone, batch);
      if (alone === batch) return;
    }
    batch.decisions = batch.decisions.filter((other) => other !== one);
    batch.summary = summaryOf(batch.decisions);
    if (!batch.decisions.length) batch.undone = true;
  }
}

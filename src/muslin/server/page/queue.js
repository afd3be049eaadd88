// What is to be predicted and what has been: cards of one image each, or of the photos of one product.

import { predict } from "./requests.js";

export const MAX_CARDS = 200; // of which the page keeps the images

let number = 0;

/** `changed()` is called after every change. */
export class Queue {
  constructor(changed) {
    this.changed = changed;
    this.cards = []; // the newest first: {id, files: [{file, url}], state: "waiting", "running", "done" or "failed", found, error}
    this.isRunning = false; // one request at a time, so that its time is that of one
    this.latest = null; // the card that was predicted last
  }

  /** Put files in front, in their order; with `together` as photos of one product. */
  add(files, together) {
    const kept = files.map((file) => ({ file, url: URL.createObjectURL(file) }));
    const groups = together ? [kept] : kept.map((one) => [one]);
    const cards = groups.map((group) => ({ id: ++number, files: group, together, state: "waiting" }));
    this.cards = [...cards, ...this.cards];
    for (const card of this.cards.splice(MAX_CARDS)) release(card);
  }

  clear() {
    this.cards.forEach(release);
    this.cards = [];
    this.changed();
  }

  remove(card) {
    release(card);
    this.cards = this.cards.filter((other) => other !== card);
    this.changed();
  }

  /** Predict all anew, because what is asked for has changed. */
  again(options) {
    for (const card of this.cards) { card.state = "waiting"; card.turn = (card.turn || 0) + 1; }
    this.run(options);
  }

  run(options) {
    this.options = options;
    this.changed();
    if (!this.isRunning && this.next) this.predict(this.next);
  }

  get next() {
    return this.cards.find((card) => card.state === "waiting");
  }

  get left() {
    return this.cards.filter((card) => card.state === "waiting" || card.state === "running").length;
  }

  async predict(card) {
    const turn = card.turn;
    card.state = "running";
    this.isRunning = true;
    let found = null, error = null;
    try { found = await predict(card.files.map((one) => one.file), { ...this.options, together: card.together }); } catch (fault) { error = fault; }
    this.isRunning = false;
    if (card.turn === turn) Object.assign(card, { found, error, state: error ? "failed" : "done" });
    this.latest = card;
    this.run(this.options);
  }
}

const release = (card) => card.files.forEach((one) => URL.revokeObjectURL(one.url));

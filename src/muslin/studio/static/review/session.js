// One person at one store: the page of products in front of them, what they have decided, and what comes next.
// What it knows, how it gets pages and how it decides them: session_state, session_pages, session_decisions.

import { announce } from "/static/dom.js";
import { t } from "/static/texts.js";
import * as requests from "./requests.js";
import { SessionDecisions } from "./session_decisions.js";
import { Sheet } from "./sheet.js";
import { labelsOf, textOf } from "./values.js";

const SIMILAR = 24;

const sessions = new Map();

/** The session of a store: one until the tab is closed, so that a change of language or view loses no mark. */
export async function sessionOf(store) {
  if (!sessions.has(store)) sessions.set(store, new Session(store, await requests.openStore({ store })));
  return sessions.get(store);
}

export class Session extends SessionDecisions {
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

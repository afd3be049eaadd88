// Beside the photos: the current one, the classes with their keys, and what else can be decided.

import { t, tn } from "/static/texts.js";
import { Component, createRef, html } from "/static/html.js";
import { percentOf } from "./grid.js";
import { CLASS_KEYS, shownKey, spokenKey } from "./keys.js";
import { textOf } from "./values.js";

/** A button with its key printed on it. */
export function KeyButton({ action, onclick, children, ...more }) {
  return html`<button type="button" aria-keyshortcuts=${spokenKey(action)} onclick=${onclick} ...${more}><span>${children}</span><kbd aria-hidden="true">${shownKey(action)}</kbd></button>`;
}

export function Panel({ session, sheet }) {
  const item = sheet?.current;
  return html`<aside class="decide" aria-label=${t("review.decide")}>
    <div class="front">
      ${item && html`<button type="button" class="view" onclick=${() => session.openDialog("zoom")} aria-label=${`${t("review.zoom")}: ${item.name}`}>
        <img key=${item.product + item.fingerprint + session.attempt} src=${session.photo(item, 0, 320)} alt="" onerror=${hide} /></button>
      <p class="about"><strong title=${item.name}>${item.name}</strong><span class="soft">${t("review.predictedAs", { value: textOf(item.value, t("review.noLabel")), percent: percentOf(item) })}</span></p>`}
    </div>
    <${Classes} session=${session} sheet=${sheet} />
    <${Kinds} session=${session} sheet=${sheet} />
    <${Confirm} session=${session} sheet=${sheet} />
  </aside>`;
}

/** A broken image's sign says nothing that the grid does not say. */
const hide = (event) => { event.target.style.visibility = "hidden"; };

export class Classes extends Component {
  constructor() {
    super();
    this.field = createRef();
    this.state = { text: "" };
  }

  componentDidMount() {
    (this.props.session.finders ??= []).push(this);
  }

  componentWillUnmount() {
    const { finders } = this.props.session;
    finders.splice(finders.indexOf(this), 1);
  }

  find() {
    this.field.current.focus();
    this.field.current.select();
  }

  get matching() {
    const wanted = this.state.text.trim().toLocaleLowerCase();
    const { classes } = this.props.session.target;
    return classes.filter((name) => name.toLocaleLowerCase().includes(wanted)).sort((a, b) => starts(b, wanted) - starts(a, wanted));
  }

  get isNew() {
    const wanted = this.state.text.trim().toLocaleLowerCase();
    return wanted && !this.props.session.target.classes.some((name) => name.toLocaleLowerCase() === wanted);
  }

  choose(name) {
    this.setState({ text: "" });
    this.props.session.setLabel(name);
    this.leave();
  }

  add() {
    const name = this.state.text.trim();
    this.setState({ text: "" });
    this.props.session.addClass(name);
    this.leave();
  }

  leave() {
    this.field.current.blur();
    this.props.session.grid?.focus();
  }

  keydown(event) {
    event.stopPropagation();
    if (event.key === "Escape") { event.preventDefault(); this.setState({ text: "" }); this.leave(); }
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    const [first] = this.matching;
    if (this.state.text.trim() && first) this.choose(first);
    else if (this.isNew) this.add();
  }

  render({ session, sheet }, { text }) {
    const now = session.labelsNow(), { classes } = session.target, isOff = !sheet?.items.length;
    const value = textOf(sheet?.current?.value, "");
    return html`<div class="classes">
      <div class="finder"><input type="text" ref=${this.field} value=${text} disabled=${isOff} aria-label=${t("review.findClass")} placeholder=${t("review.findClass")}
        autocomplete="off" spellcheck=${false} maxlength="100" oninput=${(event) => this.setState({ text: event.target.value })} onkeydown=${(event) => this.keydown(event)} />
        <kbd aria-hidden="true">${shownKey("find")}</kbd></div>
      <div class="list" role="group" aria-label=${t("review.classes")}>
        ${(text.trim() ? this.matching : classes).map((name) => {
    const key = CLASS_KEYS[classes.indexOf(name)];
    return html`<button type="button" key=${name} disabled=${isOff} aria-pressed=${now.includes(name)} aria-keyshortcuts=${key} class=${name === value ? "predicted" : ""} onclick=${() => this.choose(name)}>
          <span>${name}</span>${key && html`<kbd aria-hidden="true">${key}</kbd>`}</button>`;
  })}
        ${this.isNew && html`<button type="button" class="new" disabled=${isOff} onclick=${() => this.add()}><span>${t("review.addClass", { name: text.trim() })}</span></button>`}
      </div>
    </div>`;
  }
}

const starts = (name, wanted) => Number(name.toLocaleLowerCase().startsWith(wanted));

/** Not sure, not ours, a note, similar ones. */
export function Kinds({ session, sheet }) {
  const then = (act) => () => { act(); session.grid?.focus(); }; // else Enter would do it again
  const isOff = !sheet?.items.length, kind = sheet?.current && sheet.marks.get(sheet.current.product)?.kind;
  return html`<div class="kinds">
    ${["not_sure", "not_ours"].map((name) => html`<${KeyButton} action=${name} disabled=${isOff} aria-pressed=${kind === name} onclick=${then(() => session.setKind(name))}>${t(`review.kind.${name}`)}<//>`)}
    <${KeyButton} action="note" disabled=${isOff} onclick=${() => session.openDialog("zoom-note")}>${t("review.note")}<//>
    ${sheet?.origin !== "similar" && html`<${KeyButton} action="similar" disabled=${isOff} onclick=${() => session.findSimilar()}>${t("review.similar")}<//>`}
  </div>`;
}

function Confirm({ session, sheet }) {
  const isQueue = session.view === "queue", count = sheet ? sheet.decisions().length : 0;
  const words = isQueue ? t("review.confirm", { n: count || "" }) : count ? tn("review.saveMarked", count) : t("review.saveNone");
  return html`<div class="confirm">
    <${KeyButton} action="confirm" class="main" disabled=${!count} onclick=${() => session.confirm()}>${words}<//>
    ${!isQueue && html`<button type="button" class="quiet" disabled=${!sheet?.items.length} onclick=${() => session.confirm(true)}>${t("review.confirmAll", { n: sheet?.items.length || 0 })}</button>`}
  </div>`;
}

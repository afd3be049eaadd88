// The photos of a page. A click marks one as wrong; the small buttons over a photo give it another class at once.

import { t, tn } from "/static/texts.js";
import { Component, createRef, html } from "/static/html.js";
import { shownKey, spokenKey } from "./keys.js";
import { alternatives, labelsOf, textOf } from "./values.js";

const CHIPS = 3;
const RETRY_MS = [1000, 3000]; // after these a photo that did not come is asked for again
export const SIZES = { S: 118, M: 158, L: 236 }; // smallest width of a photo, in px

export class Grid extends Component {
  constructor() {
    super();
    this.list = createRef();
  }

  /** How many photos are in a row. */
  get columns() {
    return getComputedStyle(this.list.current).gridTemplateColumns.split(" ").length;
  }

  componentDidMount() {
    this.before = this.props.session.grid; // of the page under a dialog
    this.props.session.grid = this;
    this.focus();
  }

  componentWillUnmount() {
    this.props.session.grid = this.before;
  }

  componentDidUpdate(before) {
    if (before.sheet !== this.props.sheet) {
      this.list.current.scrollTo(0, 0);
      if (this.props.sheet.origin !== "similar") scrollTo(0, 0);
      this.focus();
    } else if (this.list.current.contains(document.activeElement)) this.focus();
  }

  focus() {
    const face = this.list.current?.querySelector('.face[tabindex="0"]');
    if (face && face !== document.activeElement && !document.activeElement?.matches("input, textarea, select")) {
      face.focus({ preventScroll: true });
      face.scrollIntoView({ block: "nearest" });
    }
  }

  render({ session, sheet }) {
    return html`<ul class=${`photos size${session.side}`} ref=${this.list} aria-label=${t("review.photos")}>
      ${sheet.items.map((item, index) => html`<${Tile} key=${item.product} session=${session} sheet=${sheet} item=${item} index=${index}
        mark=${sheet.marks.get(item.product)} decided=${item.decided} note=${sheet.notes.get(item.product)} refused=${sheet.refused.get(item.product)}
        isCurrent=${index === sheet.at} isChosen=${sheet.isChosen(index)} side=${session.side} attempt=${session.attempt} />`)}
    </ul>`;
  }
}

class Tile extends Component {
  shouldComponentUpdate(next, state) {
    const names = ["attempt", "item", "mark", "decided", "note", "refused", "isCurrent", "isChosen", "index", "sheet", "side"];
    return this.state !== state || names.some((name) => next[name] !== this.props[name]);
  }

  /** A photo did not come: ask for it again twice by itself, then when the person says so. */
  failed() {
    const { failures = 0 } = this.state;
    if (failures >= RETRY_MS.length) return this.setState({ missing: this.props.attempt });
    this.timer = setTimeout(() => this.setState({ failures: failures + 1 }), RETRY_MS[failures]);
    return undefined;
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
  }

  click(event) {
    const { session, sheet, index } = this.props;
    if (event.shiftKey) session.move(index, true);
    else if (sheet.origin === "similar") session.toggleSimilar(index);
    else session.toggle(index);
  }

  render({ session, sheet, item, index, mark, note, refused, isCurrent, isChosen, attempt }, { missing, failures = 0 }) {
    const value = textOf(item.value, t("review.noLabel"));
    const isSimilar = sheet.origin === "similar", isOut = isSimilar && !mark;
    const says = isSimilar ? "" : saysOf(mark, item, sheet.target) || (sheet.origin === "search" && value);
    const isPlain = says && !mark && !item.decided; // the search shows classes of every kind: what is predicted stands there too
    const label = [item.name, t("review.predictedAs", { value, percent: percentOf(item) }), (!isPlain && says) || (isOut && t("review.leftOut")), note, refused].filter(Boolean).join("; ");
    const classes = ["photo", !isSimilar && mark && "marked", mark && `is-${mark.kind}`, isOut && "out", says && "banded", isCurrent && "current", isChosen && "chosen"];
    return html`<li class=${classes.filter(Boolean).join(" ")}>
      <button type="button" class="face" aria-pressed=${Boolean(mark)} aria-label=${label} tabindex=${isCurrent ? 0 : -1}
        onclick=${(event) => this.click(event)} ondblclick=${() => !isSimilar && session.openDialog("zoom")}>
        ${missing === attempt ? html`<span class="missing">${t("review.photoMissing")}</span>`
    : html`<img key=${`${failures} ${attempt}`} src=${session.photo(item, 0, SIZES[session.side])} alt="" decoding="async" draggable=${false} onerror=${() => this.failed()} />`}
        ${says && html`<span class=${isPlain ? "says asPredicted" : "says"}><span>${!mark && item.decided ? "✓ " : ""}${says}</span></span>`}
      </button>
      ${!isSimilar && html`<span class="chips">${alternatives(item, session.corrections, CHIPS).map((name) => html`
        <button type="button" tabindex="-1" aria-pressed=${labelsOf(sheet.valueNow(item)).includes(name)} onclick=${() => session.setLabelOf(index, name)}>${name}</button>`)}</span>
      <button type="button" class="zoomer" tabindex="-1" aria-label=${`${t("review.zoom")}: ${item.name}`} aria-keyshortcuts=${spokenKey("zoom")}
        title=${`${t("review.zoom")} (${shownKey("zoom")})`} onclick=${() => { session.move(index); session.openDialog("zoom"); }}><${Glass} /></button>`}
      ${missing === attempt && html`<button type="button" class="again" tabindex="-1" aria-label=${`${t("review.photoAgain")}: ${item.name}`} onclick=${() => this.setState({ missing: undefined, failures: 0 })}>${t("review.photoAgain")}</button>`}
      <span class="under"><span class="percent">${percentOf(item)}</span> <span class="name" title=${item.name}>${isSimilar ? value : item.name}</span>${flags(item, note)}</span>
      ${refused && html`<div class="refusal"><p>${refused}</p><button type="button" class="link" onclick=${() => session.discardOf(item.product)}>${tn("review.discard", 1)}</button></div>`}
    </li>`;
  }
}

const Glass = () => html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="6.5" cy="6.5" r="4.5" /><path d="M10 10l4.5 4.5M6.5 4.5v4M4.5 6.5h4" /></svg>`;

export const percentOf = (item) => `${Math.floor(100 * item.probability)} %`;

/** What is marked or decided, for the band over the photo. */
export function saysOf(mark, item, target) {
  const counts = mark || (item.decided && { kind: item.decided.kind, value: item.decided.value });
  if (!counts) return "";
  if (counts.kind === "value") return textOf(counts.value, t("review.noLabel"));
  return counts.kind === "open" && target.kind === "multilabel" ? t("review.openLabels") : t(`review.kind.${counts.kind}`);
}

/** Small signs under a photo: several photos, changed since, a note. Why it was drawn is not among them: it must not sway. */
function flags(item, note) {
  const shown = [
    item.photos > 1 && ["count", item.photos, tn("review.photosOf", item.photos)],
    item.has_changed && ["changed", "↻", t("review.hasChanged")],
    (note ?? item.decided?.note) && ["note", "✎", note ?? item.decided.note],
  ];
  return shown.filter(Boolean).map(([kind, sign, words]) => html`<span class=${`flag ${kind}`} title=${words} role="img" aria-label=${words}>${sign}</span>`);
}

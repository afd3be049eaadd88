// The images of a selection: a grid that loads pages as they come into sight. An image opens why it was predicted so.

import { ask } from "/static/api.js";
import { Button, ErrorNotice, ImageGrid, Select } from "/static/components/index.js";
import { announce } from "/static/dom.js";
import { Component, createRef, html } from "/static/html.js";
import { same, set } from "/static/state.js";
import { percent, t, tn } from "/static/texts.js";
import { Sheets } from "../data/sheets.js";
import { Thumbnail as SheetThumbnail } from "../data/thumbnail.js";

const PAGE = 128; // two sheets of thumbnails
const SIDE_PX = 112;
const SORTS = ["confidence", "doubt", "loss", "order"];

/** The request of the images that the address selects. */
function wantedOf({ state, request, view }) {
  const { label, predicted, outcome, change, other, slice, value } = state;
  return {
    ...request, label, predicted, sort: SORTS.includes(state.sort) ? state.sort : "confidence",
    outcome: outcome || (view === "errors" ? "errors" : "all"),
    ...(view === "compare" && other && change ? { other, change } : {}), ...(slice ? { slice, value } : {}),
  };
}

export class Images extends Component {
  constructor() {
    super();
    this.heading = createRef();
    this.pages = new Map();
    this.state = { total: null, at: 0, error: null };
  }

  componentDidMount() {
    this.restart();
  }

  componentDidUpdate(before) {
    if (!same(wantedOf(before), wantedOf(this.props))) this.restart();
  }

  componentWillUnmount() {
    this.asked = null;
    this.sheets?.close();
  }

  restart = () => {
    this.asked = {};
    this.pages = new Map();
    this.sheets?.close();
    this.sheets = null;
    this.setState({ total: null, at: 0, error: null });
    this.load(0);
  };

  async load(page) {
    if (this.pages.has(page)) return;
    const { asked } = this;
    this.pages.set(page, null);
    try {
      const found = await ask("/api/mistakes/images", { ...wantedOf(this.props), start: page * PAGE, count: PAGE });
      if (this.asked !== asked) return;
      this.pages.set(page, found.images);
      this.sheets ??= new Sheets(found, new Int32Array(found.total), SIDE_PX * Math.min(2, Math.ceil(globalThis.devicePixelRatio || 1)));
      found.images.forEach((row, n) => { this.sheets.order[found.start + n] = indexOf(row); });
      if (page === 0) announce(tn("mistakes.images", found.total));
      this.setState({ total: found.total });
    } catch (error) {
      if (this.asked === asked) this.setState({ error });
    }
  }

  row(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  view = (first, end) => {
    this.sheets?.wanted(first, end);
    for (let page = Math.floor(first / PAGE); page * PAGE < end; page += 1) this.load(page);
  };

  move = (at) => {
    this.setState({ at });
  };

  open = (at) => {
    const row = this.row(at);
    this.setState({ at });
    if (row) set({ why: row.id }, true);
  };

  render({ state }, { total, at, error }) {
    const words = wordsOf(this.props);
    return html`<section class="mistakesimages" aria-labelledby="images-title">
      <div class="imageshead"><h2 id="images-title" tabindex="-1" ref=${this.heading}>${words}${total !== null && html` <span class="of">${tn("mistakes.images", total)}</span>`}</h2>
        <${Select} label=${t("mistakes.sort")} choices=${SORTS.map((name) => [name, t(`mistakes.sort.${name}`)])} value=${state.sort} onchange=${(sort) => set({ sort })} />
        ${hasSelection(this.props) && html`<${Button} onclick=${() => set({ label: "", predicted: "", outcome: "", change: "", slice: "", value: "", why: "" }, true)}>${t("mistakes.clear")}<//>`}</div>
      <${ErrorNotice} error=${error} retry=${this.restart} />
      ${total === 0 && html`<p>${t("mistakes.noImages")}</p>`}
      ${total > 0 && html`<${ImageGrid} id="mistaken" count=${total} side=${SIDE_PX} current=${at} label=${words} onview=${this.view} onmove=${this.move} onselect=${this.open} onopen=${this.open}
        image=${(index) => (this.row(index)?.image ? html`<${SheetThumbnail} sheets=${this.sheets} position=${index} />` : html`<${Thumbnail} row=${this.row(index)} />`)} words=${(index) => rowWords(this.row(index))} caption=${(index) => caption(this.row(index))} />`}
    </section>`;
  }
}

const hasSelection = ({ state, view }) => state.label || state.predicted || state.change || state.slice || (state.outcome && view !== "errors");

/** Where an image is in its data set; 0 for one that is not in the data room, which is not drawn. */
const indexOf = (row) => (row.image ? Number(row.image.slice(row.image.lastIndexOf(":") + 1)) : 0);

/** What the address selects, in words. */
function wordsOf({ state, view }) {
  const { label, predicted, outcome, change, slice, value } = state;
  if (change) return t(`mistakes.change.${change}`);
  if (slice) return t("mistakes.sliceWords", { by: tSlice(slice), value: tValue(slice, value) });
  if (label && predicted) return label === predicted ? t("mistakes.cellRight", { label }) : t("mistakes.cellTitle", { label, predicted });
  if (label) return t(`mistakes.row.${outcome || "all"}`, { label });
  if (predicted) return t(`mistakes.column.${outcome || "all"}`, { predicted });
  return t(view === "errors" || outcome === "errors" ? "mistakes.allErrors" : "mistakes.allImages");
}

export const tSlice = (by) => ({ decision: t("mistakes.by.decision"), confidence: t("mistakes.by.confidence"), group: t("mistakes.by.group") })[by] ?? by;
export const tValue = (by, value) => (by === "decision" ? t(`mistakes.decision.${value}`) : value);

/** The image of a row, or that there is none. */
export function Thumbnail({ row, side = 224 }) {
  if (!row) return html`<span class="soft" aria-hidden="true">…</span>`;
  if (!row.image) return html`<span class="soft noimagehere">${t("mistakes.noImage")}</span>`;
  return html`<img key=${row.image} class="thumb" alt="" loading="lazy" src=${`/api/thumbnail?${new URLSearchParams({ image: row.image, side })}`} />`;
}

export const labelsText = (names) => names.join(", ") || t("mistakes.none");

function rowWords(row) {
  if (!row) return t("loading");
  const words = t("mistakes.imageWords", { label: labelsText(row.labels), predicted: labelsText(row.predicted), percent: percent(row.probabilities[0][1], 0), id: row.id });
  return row.other_predicted ? `${words} ${t("mistakes.otherSays", { predicted: labelsText(row.other_predicted) })}` : words;
}

function caption(row) {
  return row ? `${labelsText(row.predicted)} ${percent(row.probabilities[0][1], 0)}` : "";
}

// What opens over the photos: one photo large, similar ones, what happened, the keys, the person's name.

import { t, tn } from "/static/texts.js";
import { Dialog as Modal } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { Grid, percentOf, saysOf } from "./grid.js";
import { ACTIONS, isFree, resetKeys, setKey, shownKey } from "./keys.js";
import { Classes, KeyButton, Kinds } from "./panel.js";
import * as requests from "./requests.js";
import { textOf } from "./values.js";

const Dialog = ({ kind = "", ...rest }) => html`<${Modal} kind=${`reviewdialog ${kind}`} ...${rest} />`;

export function Dialogs({ session }) {
  const close = () => session.closeDialog();
  if (session.dialog === "name") return html`<${Name} session=${session} close=${close} />`;
  if (session.dialog === "keys") return html`<${Keys} close=${close} />`;
  if (session.dialog === "happened") return html`<${Happened} session=${session} close=${close} />`;
  if (session.dialog === "similar") return html`<${Similar} session=${session} close=${close} />`;
  if (session.dialog.startsWith("zoom") && session.sheet?.current) return html`<${Zoom} session=${session} close=${close} />`;
  return null;
}

class Name extends Component {
  save(event) {
    event.preventDefault();
    const name = event.target.elements.who.value.trim();
    if (name) this.props.session.setName(name);
  }

  render({ session, close }) {
    return html`<${Dialog} title=${t("review.nameTitle")} close=${close} kind="small" locked=${!session.who}>
      <p>${t("review.nameLead")}</p>
      <form class="nameform" onsubmit=${(event) => this.save(event)}>
        <label class="field"><span>${t("review.name")}</span><input name="who" type="text" maxlength="100" autocomplete="name" required autofocus value=${session.who} /></label>
        <button class="main">${t("review.begin")}</button>
      </form>
    <//>`;
  }
}

/** One product: its photos, what the model says, the classes, a note and its history. */
class Zoom extends Component {
  constructor() {
    super();
    this.note = createRef();
    this.state = { photo: 0, history: null };
  }

  componentDidMount() {
    if (this.props.session.dialog === "zoom-note") this.note.current.focus();
    this.load();
  }

  componentDidUpdate() {
    if (this.product !== this.props.session.sheet.current.product) this.load();
    if (this.props.session.dialog === "zoom-note") {
      this.props.session.dialog = "zoom";
      this.note.current.focus();
    }
  }

  async load() {
    const { session } = this.props, { product } = session.sheet.current;
    this.product = product;
    this.setState({ photo: 0, history: null });
    try {
      const { history } = await requests.history({ store: session.store, product, target: session.target.name });
      if (this.product === product) this.setState({ history });
    } catch { /* without a connection the history stays out */ }
  }

  render({ session, close }, { photo, history }) {
    const { sheet } = session, item = sheet.current, mark = sheet.marks.get(item.product), says = saysOf(mark, item, sheet.target);
    const step = (by) => session.move(sheet.at + by);
    return html`<${Dialog} title=${item.name} close=${close} kind="zoom">
      <div class="zoombody">
        <div class="large">
          <div class=${`shown ${mark ? `marked is-${mark.kind}` : ""}`}><img key=${item.product + item.fingerprint + photo} src=${session.photo(item, photo, 896)} alt=${t("review.photoOf", { name: item.name })} />
            ${says && html`<span class="says"><span>${says}</span></span>`}</div>
          <div class="steps">
            <button type="button" disabled=${sheet.at === 0} onclick=${() => step(-1)}><kbd aria-hidden="true">←</kbd> ${t("review.before")}</button>
            <span class="soft number">${t("review.nOfN", { n: sheet.at + 1, of: sheet.items.length })}</span>
            <button type="button" disabled=${sheet.at === sheet.items.length - 1} onclick=${() => step(1)}>${t("review.after")} <kbd aria-hidden="true">→</kbd></button>
          </div>
          ${item.photos > 1 && html`<ul class="further" aria-label=${tn("review.photosOf", item.photos)}>${Array.from({ length: item.photos }, (_, n) => html`
            <li><button type="button" aria-pressed=${n === photo} aria-label=${t("review.nOfN", { n: n + 1, of: item.photos })} onclick=${() => this.setState({ photo: n })}>
              <img src=${session.photo(item, n, 112)} alt="" /></button></li>`)}</ul>`}
        </div>
        <div class="facts">
          <p class="verdict">${t("review.predictedAs", { value: textOf(item.value, t("review.noLabel")), percent: percentOf(item) })}</p>
          <p class="soft">${t(`review.decision.${item.decision}`)} · ${t(`review.drawn.${item.drawn}`)}</p>
          ${item.candidates.length > 1 && html`<p class="soft">${t("review.candidates", { names: item.candidates.join(", ") })}</p>`}
          ${item.has_changed && html`<p class="note">${t("review.hasChanged")}</p>`}
          ${item.text && html`<p class="celltext">${item.text}</p>`}
          <${Classes} session=${session} sheet=${sheet} />
          <${Kinds} session=${session} sheet=${sheet} />
          <label class="field notefield"><span>${t("review.noteFor")}</span><textarea ref=${this.note} rows="2" maxlength="2000" value=${sheet.notes.get(item.product) ?? item.decided?.note ?? ""}
            oninput=${(event) => session.setNote(event.target.value)} onkeydown=${(event) => { if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey && !event.isComposing)) { event.preventDefault(); event.stopPropagation(); event.target.blur(); } }}></textarea></label>
          <h3>${t("review.history")}</h3>
          ${history === null ? html`<p class="soft">…</p>` : history.length ? html`<ol class="past">${history.map((one) => html`<li>${pastText(one)}</li>`)}</ol>` : html`<p class="soft">${t("review.noHistory")}</p>`}
        </div>
      </div>
    <//>`;
  }
}

const when = (at) => new Date(at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

function pastText(one) {
  const what = one.kind === "value" ? textOf(one.value, t("review.noLabel")) : t(`review.kind.${one.kind}`);
  return html`<strong>${what}</strong> <span class="soft">${one.who}, ${when(one.at)}</span>${one.note && html`<br /><span>${one.note}</span>`}`;
}

class Similar extends Component {
  render({ session, close }) {
    const { similar, similarTo: { item, mark } } = session;
    const value = mark.kind === "value" || mark.kind === "open" ? textOf(mark.kind === "open" ? item.value : mark.value, t("review.noLabel")) : t(`review.kind.${mark.kind}`);
    const count = similar?.decisions().length || 0;
    return html`<${Dialog} title=${t("review.similarTitle", { value })} close=${close} kind="similar">
      <div class="likethis"><img src=${session.photo(item, 0, 112)} alt="" /><p>${t("review.similarLead", { value })}</p></div>
      ${session.error.other && html`<p class="error" role="alert">${session.error.other}</p>`}
      ${!similar && !session.error.other && html`<p class="soft">${t("loading")}</p>`}
      ${similar && !similar.items.length && html`<p>${t("review.noneSimilar")}</p>`}
      ${similar?.items.length > 0 && html`<${Grid} session=${session} sheet=${similar} />
        <div class="confirm"><${KeyButton} action="all_similar" class="main" disabled=${!count} onclick=${() => session.confirm()}>${tn("review.theseToo", count, { value })}<//></div>`}
    <//>`;
  }
}

/** The last pages of decisions, each with undo. */
function Happened({ session, close }) {
  const batches = session.outbox.batches.toReversed();
  return html`<${Dialog} title=${t("review.happened")} close=${close}>
    ${!batches.length && html`<p class="soft">${t("review.nothingYet")}</p>`}
    <ol class="batches">${batches.map((batch) => html`<li key=${batch.key} class=${batch.wanted}>
      <div><p><strong>${textOf(batch.value, t("review.noLabel"))}</strong> <span class="soft">${batch.target}, ${when(batch.at)}, ${batch.who}</span></p>
      <p>${summaryText(batch.summary)}</p><${State} batch=${batch} session=${session} /></div>
      ${batch.wanted === "decided" && !batch.refused && html`<button type="button" onclick=${() => { session.closeDialog(); session.undo(batch); }}>${t("review.undo")}</button>`}
    </li>`)}</ol>
  <//>`;
}

/** What became of a batch. */
function State({ batch, session }) {
  if (batch.refused) {
    return html`<p class="error">${batch.name && `${batch.name}: `}${batch.refused}</p><p><button type="button" onclick=${() => session.outbox.retry()}>${t("review.tryAgain")}</button>
      <button type="button" class="quiet" onclick=${() => session.discard(batch)}>${tn("review.discard", batch.decisions.length)}</button></p>`;
  }
  const later = (batch.receipts || []).filter((one) => one.earlier), changed = (batch.receipts || []).filter((one) => one.has_changed).length;
  const names = [...new Set(later.map((one) => one.earlier.who))].join(", ");
  return html`<p class="soft">${batch.undone ? t("review.isUndone") : batch.wanted === "undone" ? t("review.undoWaits") : batch.receipts ? t("review.isSaved") : t("review.waits")}</p>
    ${later.length > 0 && html`<p class="note">${tn("review.later", later.length, { names })}</p>`}
    ${changed > 0 && html`<p class="note">${tn("review.changedMeanwhile", changed)}</p>`}`;
}

export function summaryText(summary) {
  return ["confirmed", "corrected", "not_sure", "not_ours"].filter((name) => summary[name]).map((name) => t(`review.n.${name}`, { n: summary[name] })).join(", ");
}

class Keys extends Component {
  listen(action) {
    this.setState({ action });
  }

  keydown(event) {
    const { action } = this.state;
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") this.setState({ action: "" });
    else if (isFree(event.key)) {
      setKey(action, event.key);
      this.setState({ action: "" });
    }
  }

  render({ close }, { action }) {
    return html`<${Dialog} title=${t("keys")} close=${close} kind="small">
      <p>${t("review.keysLead")}</p>
      <dl class="keys reviewkeys" onkeydown=${(event) => this.keydown(event)}>
        ${ACTIONS.map((name) => html`<dt key=${name}><button type="button" class="keybutton" aria-label=${t("review.changeKey", { what: t(`review.key.${name}`), key: shownKey(name) })} aria-pressed=${action === name} onclick=${() => this.listen(name)}>
          ${action === name ? t("review.pressKey") : html`<kbd>${shownKey(name)}</kbd>`}</button></dt><dd>${t(`review.key.${name}`)}</dd>`)}
        <dt><kbd>1</kbd> – <kbd>0</kbd></dt><dd>${t("review.keyClasses")}</dd>
        <dt><kbd>← ↑ → ↓</kbd></dt><dd>${t("review.keyArrows")}</dd>
        <dt><kbd>⇧ + →</kbd></dt><dd>${t("review.keyRange")}</dd>
      </dl>
      <button type="button" onclick=${() => { resetKeys(); this.setState({ action: "" }); }}>${t("review.resetKeys")}</button>
    <//>`;
  }
}

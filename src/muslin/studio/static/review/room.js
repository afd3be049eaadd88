// The review room: the bar, the photos, what is beside them, and the keys.

import { set } from "/static/state.js";
import { count, t, tn } from "/static/texts.js";
import { Dialogs, summaryText } from "./dialogs.js";
import { Grid, SIZES } from "./grid.js";
import { Component, html } from "/static/html.js";
import { actionOf, classOf } from "./keys.js";
import { KeyButton, Panel } from "./panel.js";
import { Search } from "./search.js";
import { Status } from "./status.js";
import { textOf } from "./values.js";

const VIEWS = ["queue", "search", "status"];

export class Room extends Component {
  componentDidMount() {
    const { session } = this.props;
    this.stop = session.watch(() => this.setState({}));
    this.keydown = (event) => pressed(event, session);
    addEventListener("keydown", this.keydown);
    session.load();
  }

  componentWillUnmount() {
    this.stop();
    removeEventListener("keydown", this.keydown);
  }

  render({ session }) {
    const { view } = session;
    return html`<div class="review">
      <${Bar} session=${session} />
      <${Connection} session=${session} />
      ${view === "status" ? html`<${Status} session=${session} />` : html`
        <div class="table">
          <section class="work" aria-labelledby="what">${view === "search" && html`<${Search} session=${session} key=${session.target.name} />`}<${Head} session=${session} /><${Photos} session=${session} /></section>
          <${Panel} session=${session} sheet=${session.sheets[view]} />
        </div>`}
      <${Dialogs} session=${session} />
    </div>`;
  }
}

/** What is open, how far it is, and where to go. */
function Bar({ session }) {
  const { targets, target, view } = session;
  return html`<div class="bar-review">
    <h1><a href="#page=review" title=${t("review.otherStores")}>${session.store.split("/").pop()}</a></h1>
    ${targets.length > 1 && html`<div class="segmentbuttons" role="group" aria-label=${t("review.target")}>${targets.map((one) => html`
      <button type="button" aria-pressed=${one === target} onclick=${() => session.setTarget(one.name)}>${one.name}</button>`)}</div>`}
    <nav aria-label=${t("review.views")}>${VIEWS.map((name) => html`<button type="button" class="tabbutton" aria-current=${view === name ? "page" : null}
      onclick=${() => set({ view: name }, true)}>${t(`review.view.${name}`)}</button>`)}</nav>
    <span class="grow"></span>
    <${Progress} session=${session} />
    <button type="button" class="quiet" onclick=${() => session.openDialog("name")} title=${t("review.changeName")}>${session.who || "…"}</button>
  </div>`;
}

/** How many of the products to look at have been decided. */
function Progress({ session }) {
  const { total, decided } = session.progress;
  if (!total) return null;
  const words = t("review.progress", { n: count(decided), of: count(total) });
  return html`<span class="progress"><progress max=${total} value=${decided} aria-label=${words}></progress><span class="number">${words}</span></span>`;
}

/** A lost connection and refused decisions: a line of its own place, only when there is something to say. */
function Connection({ session: { outbox } }) {
  const waits = outbox.waitingCount, { refused, offline } = outbox;
  if (!(offline && waits) && !refused.length) return null;
  return html`<div class="connection" role="alert">
    ${offline && waits > 0 && html`<p><strong>${t("review.offline")}</strong> ${tn("review.offlineKept", waits)}</p><button type="button" onclick=${() => outbox.retry()}>${t("review.tryNow")}</button>`}
    ${refused.length > 0 && html`<p><strong>${tn("review.refused", refused.reduce((sum, one) => sum + one.decisions.length, 0))}</strong> ${refused[0].name && `${refused[0].name}: `}${refused[0].refused}</p>
      <button type="button" onclick=${() => outbox.retry()}>${t("review.tryAgain")}</button>`}
  </div>`;
}

function Head({ session }) {
  const { sheet, view } = session.dialog === "similar" ? { sheet: session.sheets[session.view], view: session.view } : session;
  const value = textOf(sheet?.items[0]?.value, t("review.noLabel"));
  const isQueue = view === "queue";
  return html`<div class="workhead">
    <div class="title"><h2 id="what">${isQueue ? (sheet ? value : t("review.view.queue")) : t("review.view.search")}</h2>
      <p class="soft">${sheet && (isQueue ? tn("review.ask", sheet.items.length, { value }) : t("review.searchAsk"))}</p></div>
    <${Last} session=${session} />
    <div class="sizes" role="group" aria-label=${t("review.size")}>${Object.keys(SIZES).map((size, n) => html`
      <button type="button" class="quiet" aria-pressed=${session.side === size} aria-label=${t(`review.size.${size}`)} onclick=${() => session.setSize(size)}><i style=${{ width: `${8 + 4 * n}px`, height: `${8 + 4 * n}px` }}></i></button>`)}</div>
  </div>`;
}

/** The last thing that happened, and its undo. The place is always taken, so that nothing moves. */
function Last({ session }) {
  const { outbox, lastBatch } = session;
  const recent = outbox.batches.at(-1);
  const later = lastBatch?.receipts?.filter((one) => one.earlier).length || 0;
  return html`<div class="last">
    <p>${lastBatch ? html`<button type="button" class="link" onclick=${() => session.openDialog("happened")}>${textOf(lastBatch.value, t("review.noLabel"))}: ${summaryText(lastBatch.summary)}</button>`
    : html`<span class="soft">${recent ? t("review.isUndone") : t("review.nothingYet")}</span>`}
    <span class="soft saved">${later ? t("review.later.short", { n: later }) : lastBatch && (lastBatch.receipts ? t("review.isSaved") : t("review.waits"))}</span></p>
    <${KeyButton} action="undo" disabled=${!lastBatch} onclick=${() => { session.undo(); session.grid?.focus(); }}>${t("review.undo")}<//>
  </div>`;
}

function Photos({ session }) {
  const { view } = session, sheet = session.sheets[view], error = session.error[view];
  if (error) return html`<div class="empty"><p class="error" role="alert">${error}</p><button type="button" onclick=${() => session.reload()}>${t("review.tryAgain")}</button></div>`;
  if (sheet?.items.length) return html`<${Grid} session=${session} sheet=${sheet} key=${view} />`;
  if (view === "queue" && session.ended) return html`<${Ended} session=${session} />`;
  if (sheet) return html`<div class="empty"><p>${t("review.noneFound")}</p></div>`;
  return html`<ul class=${`photos size${session.side} waiting`} aria-hidden="true">${Array.from({ length: 24 }, () => html`<li class="photo"><span class="face"></span><span class="under"></span></li>`)}</ul>`;
}

const open = (counts) => (counts ? counts.queue.total - counts.queue.decided : 0);

/** Nothing is left in the queue of a target; those of others may have some. */
function Ended({ session }) {
  const unsent = session.outbox.waitingCount, left = session.progress.total - session.progress.decided - unsent;
  const others = session.targets.filter((one) => one !== session.target && open(session.opened.counts[one.name]) > 0);
  return html`<div class="empty ended"><h3>${t("review.endedTitle")}</h3>
    <p>${unsent > 0 ? tn("review.endedUnsent", unsent) : left > 0 ? tn("review.endedLeft", left) : t("review.endedText")}</p>
    <p>${others.map((one) => html`<button type="button" class="main" onclick=${() => session.setTarget(one.name)}>${t("review.goOn", { target: one.name })}</button> `)}
    <button type="button" class=${others.length ? "" : "main"} onclick=${() => set({ view: "status" }, true)}>${t("review.view.status")}</button>
    <button type="button" onclick=${() => session.reload()}>${t("review.lookAgain")}</button></p></div>`;
}

// --- keys

const SIZE_NAMES = Object.keys(SIZES);

const ACTS = {
  confirm: (session) => session.dialog.startsWith("zoom") ? session.closeDialog() : session.confirm(),
  wrong: (session) => (session.dialog === "similar" ? session.toggleSimilar(session.similar.at) : session.toggle(session.sheet.at)),
  zoom: (session) => (session.dialog.startsWith("zoom") ? session.closeDialog() : session.openDialog("zoom")),
  not_sure: (session) => session.setKind("not_sure"),
  not_ours: (session) => session.setKind("not_ours"),
  note: (session) => session.openDialog("zoom-note"),
  similar: (session) => session.findSimilar(),
  all_similar: (session) => session.confirm(),
  find: (session) => session.finders?.at(-1)?.find(),
  undo: (session) => session.undo(),
  happened: (session) => session.openDialog("happened"),
  larger: (session) => session.setSize(SIZE_NAMES[Math.min(2, SIZE_NAMES.indexOf(session.side) + 1)]),
  smaller: (session) => session.setSize(SIZE_NAMES[Math.max(0, SIZE_NAMES.indexOf(session.side) - 1)]),
};
const WITHOUT_SHEET = new Set(["undo", "happened", "larger", "smaller"]);
const IN_SIMILAR = new Set(["all_similar", "wrong"]); // the key that confirms a page takes none of them
const IN_ZOOM = new Set(["confirm", "wrong", "zoom", "not_sure", "not_ours", "note", "similar", "find"]);

/** One key of the page. Fields, and buttons with their own use of Enter and Space, keep theirs. */
function pressed(event, session) {
  const at = event.target, { sheet, dialog } = session;
  if (event.defaultPrevented || at.matches?.("input:not([type=radio]), select, textarea") || session.view === "status") return;
  if (dialog && !["zoom", "similar"].includes(dialog)) return;
  const isOwn = at.matches?.("button:not(.face), a, summary") && (event.key === "Enter" || event.key === " ");
  if (isOwn) return;
  if (moved(event, session)) return;
  const action = actionOf(event), number = classOf(event);
  const isAllowed = dialog === "zoom" ? IN_ZOOM.has(action) : dialog === "similar" ? IN_SIMILAR.has(action) : action !== "all_similar";
  if (action && (event.repeat || (dialog === "similar" && !isAllowed))) event.preventDefault(); // a key that is held confirms no page that nobody has seen
  else if (action && isAllowed && (sheet?.items.length || WITHOUT_SHEET.has(action))) ACTS[action](session);
  else if (number >= 0 && dialog !== "similar" && sheet?.items.length && number < session.target.classes.length) session.setLabel(session.target.classes[number]);
  else return;
  event.preventDefault();
}

const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);

/** Arrows move from photo to photo. */
function moved(event, session) {
  const { sheet, dialog } = session;
  if (!sheet?.items.length || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (!ARROWS.has(event.key)) return false;
  const row = dialog === "zoom" ? 1 : session.grid.columns;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -sheet.at, End: sheet.items.length };
  const to = sheet.at + steps[event.key];
  if (to >= 0 && (to < sheet.items.length || event.key === "End")) session.move(to, event.shiftKey && dialog !== "zoom");
  event.preventDefault();
  return true;
}

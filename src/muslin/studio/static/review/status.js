// How far the work is, whether the guarantee still holds, and the models of the store.

import { announce } from "/static/dom.js";
import { count, messageText, t, tn } from "/static/texts.js";
import { Component, html } from "/static/html.js";
import * as requests from "./requests.js";
import { textOf } from "./values.js";

const SHOWN = 12; // incorrect spot checks

export class Status extends Component {
  componentDidMount() {
    this.load();
  }

  async load() {
    const { session } = this.props, { store, who } = session;
    const part = (name, asked) => asked.then((found) => this.setState({ [name]: found }), (error) => this.setState({ error: error.message }));
    await Promise.all([part("status", requests.status({ store, who: who || undefined })), part("models", requests.models({ store }))]);
  }

  render({ session }, { status, models, error }) {
    const name = session.target.name, found = status?.targets[name];
    return html`<div class="status">
      ${error && html`<p class="error" role="alert">${error}</p>`}
      <${Guarantee} session=${session} found=${found} key=${name} />
      <div class="beside"><${Work} session=${session} found=${found} />
      ${models && html`<${Models} session=${session} models=${models} changed=${() => this.load()} />`}</div>
    </div>`;
  }
}

/** The sentences on the guarantee and on shifts; the interval beside the target; the spot checks that were incorrect. */
function Guarantee({ session, found }) {
  return html`<section class="panel guarantee" aria-labelledby="guarantee"><h2 id="guarantee">${t("review.guarantee")}</h2>
    ${!found ? html`<p class="soft">${t("loading")}</p>` : html`
      ${found.precision.n > 0 && html`<p class=${`stamp verdict-${found.precision.verdict}`}>${t(`review.verdict.${found.precision.verdict}`)}</p>`}
      ${found.precision.n > 0 && html`<${Interval} precision=${found.precision} />`}
      ${found.messages.map((message) => html`<p>${messageText(message)}</p>`)}
      ${found.precision.incorrect.length > 0 && html`<${Incorrect} session=${session} products=${found.precision.incorrect} />`}`}
  </section>`;
}

/** Where the precision of accepted products lies, and the target. */
function Interval({ precision: { interval: [low, high], precision, correct, n } }) {
  const from = Math.max(0, Math.floor(10 * Math.min(low, precision) - 0.2) / 10), at = (share) => `${(100 * (share - from)) / (1 - from)}%`;
  const words = t("review.intervalText", { low: percent(low), high: percent(high), target: percent(precision), correct: count(correct), n: count(n) });
  return html`<div class="interval" role="img" aria-label=${words}>
    <div class="line"><i style=${{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }}></i><b style=${{ left: at(precision) }}></b></div>
    <div class="ends soft number"><span>${percent(from)}</span><span>100 %</span></div></div>`;
}

const percent = (share) => `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;

/** Photos of accepted products that a person decided differently. */
class Incorrect extends Component {
  async componentDidMount() {
    const { session, products } = this.props, target = session.target.name;
    try {
      const found = await Promise.all(products.slice(0, SHOWN).map((product) => requests.oneItem({ store: session.store, target, product })));
      this.setState({ items: found.map(({ item }) => item) });
    } catch { /* the sentences say how many there are */ }
  }

  render({ session, products }, { items = [] }) {
    const none = t("review.noLabel");
    return html`<h3>${tn("review.incorrect", products.length)}</h3><ul class="incorrect">${items.map((item) => html`<li key=${item.product}>
      <img src=${session.photo(item, 0, 112)} alt="" /><span>${item.name}</span><span class="soft">${textOf(item.value, none)}${" → "}${item.decided?.kind === "value" ? textOf(item.decided.value, none) : item.decided && t(`review.kind.${item.decided.kind}`)}</span></li>`)}</ul>`;
  }
}

/** Per decision of the model: how many products there are, and how many people have decided. */
function Work({ session: { counts }, found }) {
  if (!counts) return null;
  return html`<section class="panel" aria-labelledby="work"><h2 id="work">${t("review.work")}</h2>
    <table><thead><tr><th>${t("review.filter.decisions")}</th>${["total", "decided", "left"].map((name) => html`<th class="number">${t(`review.${name}`)}</th>`)}</tr></thead>
      <tbody>${Object.entries(counts.decisions).map(([name, tally]) => html`<tr key=${name}><th>${t(`review.decision.${name}`)}</th>
        ${[tally.total, tally.decided, tally.total - tally.decided].map((n) => html`<td class="number">${count(n)}</td>`)}</tr>`)}</tbody></table>
    <p>${tn("review.queueLeft", counts.queue.total - counts.queue.decided)} ${found?.left_s > 0 && t("review.leftTime", { time: duration(found.left_s) })}</p>
    <p class="soft">${t("review.sampleText", { n: count(counts.prefix), left: count(counts.sample.total - counts.sample.decided), of: count(counts.sample.total) })}</p>
    ${counts.unreadable > 0 && html`<p class="note">${tn("review.unreadable", counts.unreadable)}</p>`}
  </section>`;
}

/** "40 min", "3 h 20 min". */
function duration(seconds) {
  const minutes = Math.max(1, Math.round(seconds / 60)), hours = Math.floor(minutes / 60);
  return hours ? t("review.hours", { h: count(hours), min: minutes % 60 }) : t("review.minutes", { min: minutes });
}

const when = (at) => new Date(at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

/** The models, the active one first; training and promoting; and who promoted which one when. */
class Models extends Component {
  componentDidMount() {
    this.look();
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
  }

  /** Ask how far the work is, again and again while it runs. */
  async look() {
    const { session, changed } = this.props;
    clearTimeout(this.timer);
    try {
      const before = running(this.state), found = await requests.work({ store: session.store });
      this.setState({ ...found, error: "" });
      if (running(found)) this.timer = setTimeout(() => this.look(), POLL_MS);
      else if (before) {
        if (["promote", "undo_promotion"].includes(before.kind)) await session.modelChanged();
        announce(workText(before.kind === "forecast" ? found.forecast : found.work));
        changed();
      }
    } catch (error) {
      this.setState({ error: error.message });
      this.timer = setTimeout(() => this.look(), 5 * POLL_MS);
    }
  }

  /** Promote a model, where it may be worse by the share of products that the field says. */
  promote(digest) {
    const points = Number(this.state.points ?? MARGIN_POINTS);
    return this.start(requests.promote, { digest, margin: Math.min(MAX_MARGIN_POINTS, Math.max(0, points || 0)) / 100 });
  }

  async start(request, more) {
    const { session } = this.props;
    try {
      this.setState({ ...(await request({ store: session.store, who: session.who, ...more })), error: "" });
      this.look();
    } catch (error) { this.setState({ error: error.message }); }
  }

  render({ session, models: { active, models, promotions } }, { work, is_allowed, error, forecast, points = MARGIN_POINTS }) {
    const runs = running({ work, forecast }), isBusy = !is_allowed || runs || !session.who, unsent = session.outbox.waitingCount;
    const name = (digest) => `${models.find((one) => one.digest === digest)?.name || ""} ${digest.slice(0, 8)}`;
    const ordered = [...models].sort((a, b) => (b.digest === active) - (a.digest === active) || b.added_at.localeCompare(a.added_at));
    return html`<section class="panel" aria-labelledby="models"><h2 id="models">${t("review.models")}</h2>
      <ul class="modelrows">${ordered.map((one) => html`<li key=${one.digest}>
        <div><strong>${one.name}</strong> <span class="soft number">${one.digest.slice(0, 8)}</span><br /><span class="soft">${when(one.added_at)}</span></div>
        ${one.digest === active ? html`<span class="stamp">${t("review.active")}</span>`
    : html`<button type="button" disabled=${isBusy} onclick=${() => this.promote(one.digest)}>${t("review.promote")}</button>`}</li>`)}</ul>
      ${models.length > 1 && html`<label class="field margin"><span>${t("review.margin")}</span><input type="number" min="0" max=${MAX_MARGIN_POINTS} step="1" value=${points} oninput=${(event) => this.setState({ points: event.target.value })} /></label>`}
      ${is_allowed === false && html`<p class="note">${t("review.serveNeeded", { store: session.store })}</p>`}
      ${unsent > 0 && html`<p class="note">${tn("review.unsentFirst", unsent)}</p>`}
      <div class="buttons"><button type="button" class="main" disabled=${isBusy || unsent > 0} onclick=${() => this.start(requests.train)}>${t("review.train")}</button>
        <button type="button" disabled=${isBusy || promotions.at(-1)?.kind !== "promote"} onclick=${() => this.start(requests.promote, { undo: true })}>${t("review.undoPromotion")}</button>
        ${runs && html`<button type="button" class="stop" onclick=${() => this.start(requests.stop)}>${t("review.stop")}</button>`}</div>
      <div class="worklog" aria-live="polite">${error && html`<p class="error">${error}</p>`}${work && html`<${WorkState} work=${work} />`}${forecast && !forecast.result && html`<${WorkState} work=${forecast} />`}</div>
      <${HowManyMore} target=${session.target} forecast=${forecast?.result} isOff=${isBusy} start=${(more) => this.start(requests.forecast, { target: session.target.name, ...more })} />
      <h3>${t("review.promotions")}</h3>
      <ol class="past">${promotions.toReversed().map((one) => html`<li key=${one.id}>${t(`review.promotion.${one.kind}`)}: ${name(one.digest)} <span class="soft">${one.who}, ${when(one.at)}</span></li>`)}</ol>
    </section>`;
  }
}

/** What more decided products would bring. It is computed when somebody asks, in a process of its own. */
class HowManyMore extends Component {
  render({ target, forecast, isOff, start }, { name = "" }) {
    const isShown = forecast?.target === target.name;
    return html`<h3 id="more">${t("review.howManyMore")}</h3>
      <p class="soft">${t("review.forecastLead")}</p>
      <div class="buttons forecast"><label class="field"><span>${t("review.forecastOf")}</span><select onchange=${(event) => this.setState({ name: event.target.value })}>
        <option value="">${t("review.forecastAny")}</option>${target.classes.map((one) => html`<option value=${one} selected=${one === name}>${one}</option>`)}</select></label>
        <button type="button" disabled=${isOff || target.kind !== "multiclass"} onclick=${() => start(name ? { class_name: name } : {})}>${t("review.forecast")}</button></div>
      ${isShown && (forecast.forecasts.length ? forecast.forecasts.map((one, n) => html`<${Band} forecast=${one} words=${messageText(forecast.messages[n])} />`) : html`<p>${t("review.forecastNone")}</p>`)}`;
  }
}

/** The share that is accepted now, as a line, and the band of what is expected. */
function Band({ forecast: { accepted_now: now, accepted_interval: [low, high] }, words }) {
  const at = (share) => `${100 * share}%`;
  return html`<div class="interval" role="img" aria-label=${words}>
    <p>${words}</p>
    <div class="line"><i style=${{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }}></i><b style=${{ left: at(now) }}></b></div>
    <div class="ends soft number"><span>0 %</span><span>100 %</span></div></div>`;
}

const POLL_MS = 800;
const MARGIN_POINTS = 2, MAX_MARGIN_POINTS = 99; // of `muslin review promote --margin`

/** The training, promotion or forecast that runs. */
const running = ({ work, forecast }) => [work, forecast].find((one) => one?.is_running);

/** What the last work says, and how it ended. */
function WorkState({ work }) {
  return html`<p class=${work.is_running ? "soft" : ""}><strong>${workText(work)}</strong></p>
    ${work.result?.refusals?.map((message) => html`<p class="note">${messageText(message)}</p>`)}
    ${work.error && html`<p class="error">${messageText(work.error)}</p>`}
    ${work.lines.length > 0 && html`<details open=${work.is_running}><summary>${t("review.workLines")}</summary><ul class="lines">${work.lines.slice(-8).map((line) => html`<li>${line.message ?? line}</li>`)}</ul></details>`}`;
}

function workText({ kind, is_running, error, result }) {
  if (is_running) return t(`review.running.${kind}`);
  if (error) return t(error.code.endsWith("_stopped") ? "review.stopped" : "review.workFailed");
  if (kind === "promote" && !result.is_promoted) return t("review.notPromoted");
  return t(`review.done.${kind}`, { digest: result.digest?.slice(0, 8) });
}

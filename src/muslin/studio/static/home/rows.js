// One row of the home page: what it is called, what it is, and where it leads.

import { ask, inTurn } from "/static/api.js";
import { dataFacts } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { roomLink } from "/static/state.js";
import { bytes, count, language, messageText, percent, t } from "/static/texts.js";

const EXAMPLES = 4;

/** `links`: [[words, href], …]; the first is the row's own. */
function Row({ name, path, facts, links, children }) {
  return html`<li class="row"><div class="rowwords"><h3>${links.length ? html`<a href=${links[0][1]}>${name}</a>` : name}</h3>
      ${path !== name && html`<p class="path soft">${path}</p>`}<p class="rowfacts">${facts.filter(Boolean).join(" · ")}</p></div>
    ${children}
    ${links.length > 0 && html`<p class="rowlinks">${links.map(([words, href]) => html`<a key=${words} href=${href} aria-label=${`${words}: ${name}`}>${words}</a>`)}</p>`}</li>`;
}

const when = (seconds) => new Date(1000 * seconds).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });

export function DataRow({ row }) {
  const links = [[t("home.open"), roomLink("data", { data: row.path })], [t("home.train"), roomLink("training", { data: row.path, run: "" })]];
  return html`<${Row} name=${row.name} path=${row.path} facts=${dataFacts(row)} links=${links} />`;
}

export function RunRow({ row }) {
  const { test } = row, isFinished = row.status === "finished" && row.model;
  const facts = [row.data, row.recipe, accuracyOf(test), !isFinished && t(`home.status.${row.status === "unreadable" ? "unreadable" : "training"}`), when(row.modified)];
  const opened = { run: row.path, ...(row.model ? { model: row.model } : {}) };
  const links = row.status === "unreadable" ? [] : isFinished
    ? [[t("home.mistakes"), roomLink("mistakes", opened)], [t("home.inside"), roomLink("model", { ...opened, image: "golden:0" })], [t("home.tag"), roomLink("tagging", opened)], [t("home.curves"), roomLink("training", opened)], [t("home.walk"), roomLink("walk", opened)]]
    : [[t("home.curves"), roomLink("training", opened)]];
  return html`<${Row} name=${row.name} path=${row.path} facts=${facts} links=${links}>
    ${row.error && html`<p class="error">${messageText(row.error)}</p>`}${isFinished && html`<${Examples} model=${row.model} />`}<//>`;
}

/** The accuracy on the test set with its interval, or nothing where it was not measured. */
export function accuracyOf(test) {
  if (!test || ![test.accuracy, test.n, ...(test.interval ?? [NaN])].every(Number.isFinite)) return "";
  return t("testAccuracy", { percent: percent(test.accuracy), n: count(test.n), low: percent(test.interval[0]), high: percent(test.interval[1]) });
}

export function ModelRow({ row }) {
  const links = [[t("home.inside"), roomLink("model", { model: row.path, image: "golden:0", run: "" })], [t("home.tag"), roomLink("tagging", { model: row.path, run: "" })]];
  return html`<${Row} name=${row.name} path=${row.path} facts=${[bytes(row.bytes), when(row.modified)]} links=${links}><${Examples} model=${row.path} /><//>`;
}

export function StoreRow({ row }) {
  return html`<${Row} name=${row.split("/").pop()} path=${row} facts=${[t("home.storeFacts")]} links=${[[t("home.review"), roomLink("review", { store: row })]]} />`;
}

/** A few of a model's golden images, once they come into sight; or why the model cannot be opened. */
class Examples extends Component {
  constructor() {
    super();
    this.element = createRef();
    this.state = { images: 0, error: null };
  }

  componentDidMount() {
    this.observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) this.load(); });
    this.observer.observe(this.element.current);
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  async load() {
    this.observer.disconnect();
    try {
      const about = await inTurn(() => ask("/api/model", { model: this.props.model }));
      this.setState({ images: Math.min(EXAMPLES, about.golden_images), isSmall: about.input[0] <= 64 });
    } catch (error) { this.setState({ error }); }
  }

  render({ model }, { images, isSmall, error }) {
    return html`<div class="thumbnails" ref=${this.element}>${error && html`<p class="error">${error.message}</p>`}
      ${Array.from({ length: images }, (_, n) => html`<img key=${n} alt="" width="56" height="56" class=${isSmall ? "small" : null}
        src=${`/api/thumbnail?${new URLSearchParams({ model, image: `golden:${n}`, side: 96 })}`} />`)}</div>`;
  }
}

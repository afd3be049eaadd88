// Why one image was predicted so: its probabilities, the attribution of the predicted class against the true one, the
// channels that count, and the training images nearest to it with another label.

import { ask, askOnce } from "/static/api.js";
import { AttributionOverlay, Button, ButtonLink, ChannelMap, imageUnder, Load } from "/static/components/index.js";
import { Component, classes, createRef, html } from "/static/html.js";
import { roomLink, same, set } from "/static/state.js";
import { number, percent, signed, t } from "/static/texts.js";
import { labelsText, Thumbnail } from "./images.js";
import { Predicting } from "./predicting.js";

export class Why extends Component {
  constructor() {
    super();
    this.title = createRef();
  }

  componentDidUpdate(before) {
    if (before.state.why !== this.props.state.why) this.title.current?.scrollIntoView({ block: "nearest" });
  }

  shown = (element) => {
    if (element && element !== this.title.current) {
      this.title.current = element;
      element.focus({ preventScroll: true });
      element.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    }
  };

  /** Back to the images, where the focus was. */
  close = () => {
    set({ why: "" }, true);
    document.querySelector(".mistakesimages .imagegrid")?.focus();
  };

  keydown = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.close();
  };

  render({ state, request, target, summary }) {
    const wanted = { ...request, id: state.why };
    return html`<section class="why" aria-labelledby="why-title" onkeydown=${this.keydown}><${Load} of=${wanted} from=${() => ask("/api/mistakes/image", wanted)}>${({ image: row }) => (row
      ? html`<h2 id="why-title" tabindex="-1" ref=${this.shown}>${title(row)}</h2>
        <p class="path soft">${row.id}</p>
        <div class="whyparts"><${Verdict} row=${row} summary=${summary} />${row.image && html`<${Attribution} row=${row} target=${target} model=${summary.model} />`}</div>
        ${row.image && html`<${Channels} row=${row} target=${target} model=${summary.model} />`}
        <${Neighbours} row=${row} request=${request} summary=${summary} />`
      : html`<h2 id="why-title">${t("mistakes.whyGone")}</h2><p>${t("mistakes.whyGoneText", { id: state.why })}</p>`)}<//>
      <p><${Button} onclick=${this.close}>${t("close")}<//></p></section>`;
  }
}

function title(row) {
  const label = labelsText(row.labels), predicted = labelsText(row.predicted);
  if (!row.labels.length) return t("mistakes.whyUnlabelled", { predicted });
  return same(row.labels, row.predicted) ? t("mistakes.whyRight", { label }) : t("mistakes.whyTitle", { label, predicted });
}

/** The class that is explained, and the one against which: the label where the prediction is incorrect, else the runner-up. */
function pairOf(row, target) {
  const predicted = row.predicted[0] ?? row.probabilities[0][0];
  const versus = row.labels.find((name) => !row.predicted.includes(name)) ?? row.probabilities.find(([name]) => name !== predicted)?.[0];
  return { class: predicted, versus: target.kind === "multilabel" ? null : versus ?? null };
}

function Verdict({ row, summary }) {
  const { data, model, run } = summary;
  return html`<section class="panel"><div class="whyimage"><${Thumbnail} row=${row} side=${320} /></div>
    <ul class="bars">${row.probabilities.map(([name, probability]) => html`<li key=${name}><span class=${classes("whybar", row.labels.includes(name) && "true")}>
      <span class="name">${name}</span><span class="bar"><i style=${{ width: `${100 * probability}%` }}></i></span><span class="number">${percent(probability)}</span></span></li>`)}</ul>
    <p class="soft">${t("mistakes.verdict", { decision: t(`mistakes.decision.${row.decision}`), loss: row.loss === null ? "–" : number(row.loss, 3) })}</p>
    ${row.image && html`<p class="buttons"><${ButtonLink} href=${roomLink("data", { data, run, image: row.image })}>${t("mistakes.toLabel")}<//>
      <${ButtonLink} href=${roomLink("model", { data, run, model, image: row.image, tab: "attribution" })}>${t("mistakes.toInside")}<//></p>`}</section>`;
}

function Attribution({ row, target, model }) {
  const inspection = { model, image: row.image }, pair = pairOf(row, target);
  const request = { inspection, target: target.name, ...pair };
  return html`<section class="panel whyattribution"><h3>${pair.versus ? t("mistakes.attribution", pair) : t("mistakes.attributionAlone", pair)}</h3>
    <${Load} of=${request} from=${() => attributionOf(request)}>${({ found, under }) => html`<${AttributionOverlay} found=${found} under=${under} label=${t("mistakes.overlay")} />
      <p class="soft">${t("mistakes.attributionKey", { class: pair.class, versus: pair.versus ?? "" })}</p>
      ${pair.versus && html`<p>${t("mistakes.scoreDifference", { ...pair, score: signed(found.score) })}</p>`}
      <p class="soft">${t("mistakes.hint")}</p>`}<//></section>`;
}

async function attributionOf(request) {
  const [found, under] = await Promise.all([askOnce("/api/attribution", request), imageUnder(request.inspection)]);
  return { found, under };
}

function Channels({ row, target, model }) {
  const inspection = { model, image: row.image }, pair = pairOf(row, target), request = { inspection, target: target.name, ...pair };
  return html`<section class="panel"><h3>${t("mistakes.channels")}</h3>
    <${Load} of=${request} from=${() => askOnce("/api/channels", request)}>${(found) => html`
      <p class="soft">${t(pair.versus ? "mistakes.channelsLead" : "mistakes.channelsAlone", { layer: found.layer, ...pair })}</p>
      <ul class="channels">${found.channels.map(({ channel, contribution }) => html`<li key=${channel}>
        <a href=${roomLink("model", { model, image: row.image, tab: "network", layer: found.layer, channel })} aria-label=${t("mistakes.channelWords", { channel: channel + 1, value: signed(contribution) })}>
        <${ChannelMap} class="channelmap small" aria-hidden="true" inspection=${inspection} layer=${found.layer} channel=${channel} /><span>${t("mistakes.channel", { channel: channel + 1 })}</span> <strong class="number">${signed(contribution)}</strong></a></li>`)}</ul>
      <p class="soft number">${t("mistakes.channelsRest", { rest: signed(found.rest), bias: signed(found.bias), score: signed(found.score) })}</p>`}<//></section>`;
}

function Neighbours({ row, request, summary }) {
  const wanted = { ...request, place: row.place };
  return html`<section class="panel"><h3>${t("mistakes.neighbours")}</h3>
    <${Load} of=${wanted} words=${t("mistakes.readingNear")} from=${() => ask("/api/mistakes/neighbours", wanted)}>${(found, reload) => (found.is_known
      ? html`<p class="soft">${t("mistakes.neighboursLead")}</p><${NearList} rows=${found.other_label} data=${found.data} run=${summary.run} words=${t("mistakes.otherLabel")} />
        <h4>${t("mistakes.sameLabel")}</h4><${NearList} rows=${found.same_label} data=${found.data} run=${summary.run} words=${t("mistakes.sameLabel")} />`
      : html`<${Predicting} run=${summary.run} parts=${["train"]} ondone=${reload} />`)}<//></section>`;
}

/** Training images; each leads to its label in the data room. */
function NearList({ rows, data, run, words }) {
  if (!rows.length) return html`<p>${t("mistakes.noNeighbours")}</p>`;
  return html`<ul class="near" aria-label=${words}>${rows.map((row) => {
    const label = labelsText(row.labels), inside = html`<span class="cellimage"><${Thumbnail} row=${row} /></span><span>${label}</span> <small class="soft number">${row.similarity.toFixed(3)}</small>`;
    return html`<li key=${row.id}>${row.image
      ? html`<a href=${roomLink("data", { data, run, image: row.image })} aria-label=${t("mistakes.nearWords", { words: `${label} ${row.similarity.toFixed(3)}`, id: row.id })}>${inside}</a>` : inside}</li>`;
  })}</ul>`;
}

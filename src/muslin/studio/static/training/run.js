// One run: its curves while it trains, what it predicts for a fixed set of images after each epoch, stop and resume.

import { ask, get } from "/static/api.js";
import { Button, ErrorNotice, JobStatus, LineChart, Notice } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { startJob } from "/static/jobs.js";
import { roomLink, set } from "/static/state.js";
import { count, number, percent, t } from "/static/texts.js";
import { duration } from "./duration.js";
import { Epochs } from "./epochs.js";

const WAIT_MS = 1000;

export class RunView extends Component {
  componentDidMount() {
    this.follow();
  }

  componentWillUnmount() {
    this.isGone = true;
    clearTimeout(this.timer);
  }

  /** Ask once a second while the run is training. */
  follow = async () => {
    clearTimeout(this.timer);
    let found;
    try {
      const [run, { jobs }] = await Promise.all([ask("/api/training/run", { run: this.props.run }), get("/api/jobs")]);
      found = { run, job: jobs.find((job) => job.detail.run === run.run) || null, error: null };
    } catch (error) { found = { error }; }
    if (this.isGone) return;
    this.setState(found);
    const isBusy = found.run?.status === "running" || found.job?.is_running;
    if (isBusy || (found.error && !found.error.status)) this.timer = setTimeout(this.follow, WAIT_MS);
  };

  resume = async () => {
    try { await startJob("resume", { run: this.props.run }); } catch (error) { this.setState({ error }); return; }
    this.follow();
  };

  render({ state }, { run, job, error }) {
    if (!run) return error ? html`<${ErrorNotice} error=${error} retry=${this.follow} /><p><a href=${roomLink("training", { run: "" })}>${t("training.another")}</a></p>` : html`<p class="soft">${t("loading")}</p>`;
    const now = job?.is_running ? job.detail : {};
    return html`<h2>${run.name} <span class="of">${t(`training.status.${run.status}`)}</span></h2>
      <p class="soft">${[run.recipe, run.data, t("training.images", { n: count(run.counts.train) })].join(" · ")}</p>
      <${ErrorNotice} error=${error} />
      ${run.version && html`<${Notice} kind="warning"><p>${run.version.message} ${run.version.hint}</p><//>`}
      ${job && (run.status !== "finished" || job.error) && html`<${JobStatus} key=${job.id} id=${job.id} ondone=${this.follow} />`}
      ${job?.is_running && run.status !== "finished" && html`<p class="number" role="status" aria-live="off">${facts(now)}</p>`}
      ${run.status === "interrupted" && !job?.is_running && html`<p>${t("training.interrupted")}</p><p class="buttons"><${Button} kind="main" onclick=${this.resume}>${t("training.resume")}<//></p>`}
      ${run.status === "finished" && html`<${Finished} run=${run} />`}
      <${Curves} run=${run} />
      <${Epochs} key=${run.run} run=${run} state=${state} />
      <details><summary>${t("training.command")}</summary><pre>${run.command}</pre></details>
      <p><a href=${roomLink("training", { run: "" })}>${t("training.another")}</a></p>`;
  }
}

function facts(now) {
  return [
    now.epoch && t("training.epochOf", { n: now.epoch, of: now.epochs }),
    now.images_per_s && t("training.speed", { n: count(Math.round(now.images_per_s)) }),
    Number.isFinite(now.left_s) && t("training.left", { time: duration(now.left_s) }),
    Number.isFinite(now.accuracy) && t("training.accuracyNow", { percent: percent(now.accuracy) }),
  ].filter(Boolean).join(" · ");
}

function Finished({ run }) {
  const tests = Object.entries(run.test).filter(([, metric]) => Number.isFinite(metric.accuracy));
  return html`<section class="panel" aria-label=${t("training.status.finished")}>
    ${tests.map(([name, metric]) => html`<p key=${name} class="verdict">${tests.length > 1 && `${name}: `}${t("training.testAccuracy", { percent: percent(metric.accuracy), n: count(metric.n ?? run.counts.test), low: percent(metric.interval?.[0] ?? metric.accuracy), high: percent(metric.interval?.[1] ?? metric.accuracy) })}</p>`)}
    <p class="soft">${t("training.took", { time: duration(run.train_s) })}</p>
    <p class="buttons">
      <a class="main" href=${roomLink("mistakes", { run: run.run, model: run.model })}>${t("training.mistakes")}</a>
      <a class="button" href=${roomLink("model", { model: run.model, image: "golden:0" })}>${t("pageModel")}</a>
      <a class="button" href=${roomLink("tagging", { model: run.model })}>${t("training.tag")}</a>
      <${Button} onclick=${() => set({ run: "" }, true)}>${t("training.again")}<//>
    </p></section>`;
}

function Curves({ run }) {
  const rows = run.history, x = rows.map((row) => row.epoch);
  if (!rows.length) return html`<p class="soft">${t("training.noEpoch")}</p>`;
  const of = (name) => rows.map((row) => row[name]);
  return html`<section aria-labelledby="curves"><h2 id="curves">${t("training.curves")}</h2><p class="soft">${t("training.curvesText")}</p><div class="charts">
    <${LineChart} title=${t("training.loss")} x=${x} xWords=${t("training.epoch")} low=${0} lines=${[{ words: t("training.trainingSet"), values: of("train_loss") }, { words: t("training.validationSet"), values: of("validation_loss") }]} />
    <${LineChart} title=${t("training.accuracy")} x=${x} xWords=${t("training.epoch")} format=${(value) => (value === null ? "–" : `${number(100 * value, 3)} %`)} lines=${[{ words: t("training.trainingSet"), values: of("train_accuracy") }, { words: t("training.validationSet"), values: of("validation_accuracy") }]} />
  </div></section>`;
}

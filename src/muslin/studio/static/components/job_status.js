// A job of the server: how far it is, what it says, and how to stop it. Asked once a second while it runs.

import { ask } from "/static/api.js";
import { announce } from "/static/dom.js";
import { Component, html } from "/static/html.js";
import { duration } from "/static/training/duration.js";
import { messageText, t, tOr } from "/static/texts.js";
import { Button } from "/static/components/controls.js";
import { ErrorNotice, Progress } from "/static/components/notices.js";

const WAIT_MS = 1000;

const MIN_SHARE = 0.03, MIN_S = 5; // before these, the time left would be a guess

/** Seconds that a running job still takes, if it goes on as until now; null where that is not known, or told elsewhere. */
function secondsLeft({ is_running, progress, started, detail }) {
  if (Number.isFinite(detail.left_s)) return null;
  const elapsed = (Date.now() - Date.parse(started)) / 1000;
  return is_running && progress > MIN_SHARE && elapsed > MIN_S ? elapsed * (1 / progress - 1) : null;
}

/** "running", "failed" or "done". */
export const jobState = (job) => (job.is_running ? "running" : job.error ? "failed" : "done");

/**
 * The job `id`. `onchange(job)` is called at each look while it runs, `ondone(job)` once when it ends; `children(job)` adds
 * what its kind shows. With `hideDone` only that is left of a job that is done.
 */
export class JobStatus extends Component {
  componentDidMount() {
    this.follow();
  }

  componentDidUpdate(before) {
    if (before.id !== this.props.id) this.follow();
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
    this.isGone = true;
  }

  follow = async () => {
    clearTimeout(this.timer);
    const { id } = this.props;
    let job, error = null;
    try { job = await ask("/api/jobs/get", { id }); } catch (fault) { error = fault; }
    if (this.isGone || id !== this.props.id) return;
    const wasRunning = this.state.job?.is_running ?? true;
    this.setState({ job: job ?? this.state.job, error });
    if (job?.is_running) this.props.onchange?.(job);
    if (job?.is_running || (error && !error.status)) this.timer = setTimeout(this.follow, WAIT_MS);
    else if (wasRunning && job) {
      announce(t(`job.${jobState(job)}`));
      this.props.ondone?.(job);
    }
  };

  stop = async () => {
    try { await ask("/api/jobs/stop", { id: this.props.id }); } catch (error) { this.setState({ error }); }
    this.follow();
  };

  render({ children, hideStop = false, hideDone = false }, { job, error }) {
    if (!job) return error ? html`<${ErrorNotice} error=${error} retry=${this.follow} />` : html`<p class="soft">${t("loading")}</p>`;
    const last = job.is_running && job.lines?.at(-1), left = secondsLeft(job);
    return html`<div class="job">
      <div class="jobhead"><strong>${tOr(`job.kind.${job.kind}`, job.kind)}</strong> <span class="soft">${t(`job.${jobState(job)}`)}</span>
        ${job.is_running && html`<${Progress} label=${tOr(`job.kind.${job.kind}`, job.kind)} value=${job.progress} />`}
        ${left !== null && html`<span class="soft">${t("training.left", { time: duration(left) })}</span>`}
        ${job.is_running && !hideStop && html`<${Button} onclick=${this.stop}>${t("stop")}<//>`}</div>
      ${last && html`<p class="soft jobline">${typeof last === "string" ? last : messageText({ ...last, hint: "" })}</p>`}
      ${job.error && html`<${ErrorNotice} error=${messageText(job.error)} />`}
      ${error && html`<${ErrorNotice} error=${error} />`}
      ${children?.(job)}
    </div>`;
  }
}

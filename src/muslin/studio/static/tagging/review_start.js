// From a model and data to the review room: the products are predicted into a store, which then opens.

import { get } from "/static/api.js";
import { Button, ErrorNotice, JobStatus, Load, Select } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { startJob } from "/static/jobs.js";
import { roomLink, set } from "/static/state.js";
import { messageText, t } from "/static/texts.js";
import { dataChoices } from "/static/training/setup.js";

/** Precisions to choose from, besides the best that the model can guarantee. */
export const PRECISIONS = [0.9, 0.95, 0.98, 0.99];

/** Models of the folder: those of runs, and files alone. */
export const modelChoices = (contents) => [
  ...contents.runs.filter((run) => run.model).map((run) => [run.model, run.name || run.path]),
  ...contents.models.map((model) => [model.path, model.path]),
];

/** A button that makes the store, or updates it, and goes there. `params`: model, data and precision. */
export class ReviewStart extends Component {
  start = async () => {
    const { model, data, precision = null, read_options = {} } = this.props.params;
    try { this.setState({ job: (await startJob("review", { model, data, precision, read_options })).id, error: null }); }
    catch (error) { this.setState({ error }); }
  };

  open = (job) => {
    if (job.error) this.setState({ job: null, error: messageText(job.error) });
    else set({ page: "review", store: job.result.store }, true);
  };

  render({ disabled, kind }, { job, error }) {
    if (job) return html`<${JobStatus} id=${job} ondone=${this.open} />`;
    return html`<${Button} kind=${kind} disabled=${disabled} onclick=${this.start}>${t("tagging.review")}<//>
      <${ErrorNotice} error=${error} />`;
  }
}

/** On the review page: choose what to review. */
export class NewReview extends Component {
  render(_, { model, data }) {
    return html`<section class="panel" aria-labelledby="newreview"><h2 id="newreview">${t("review.new")}</h2><p>${t("review.newText")}</p>
      <${Load} from=${() => get("/api/contents")}>${(contents) => {
    const models = modelChoices(contents), sets = dataChoices(contents);
    if (!models.length) return html`<p><a class="main" href=${roomLink("training", { run: "" })}>${t("tagging.train")}</a></p>`;
    if (!sets.length) return html`<p>${t("training.noDataText")} <a href=${roomLink("home")}>${t("training.toHome")}</a></p>`;
    const chosen = { model: model || models[0][0], data: data || "" };
    return html`<div class="toolbar">
        <${Select} label=${t("tagging.model")} value=${chosen.model} choices=${models} onchange=${(one) => this.setState({ model: one })} />
        <${Select} label=${t("tagging.table")} value=${chosen.data} choices=${[["", t("training.choose")], ...sets]} onchange=${(one) => this.setState({ data: one })} />
        <${ReviewStart} kind="main" params=${chosen} disabled=${!chosen.data || !contents.is_writable} /></div>`;
  }}<//></section>`;
  }
}

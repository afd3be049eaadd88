// The job that compares the images of a data set with each other: for the map, and for sorting by similarity.

import { ask } from "/static/api.js";
import { Button, EmptyState, ErrorNotice, JobStatus } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { t } from "/static/texts.js";

export class ComparingJob extends Component {
  start = async () => {
    const { session } = this.props, params = { data: session.about.data, run: session.run || "" };
    try {
      const job = await ask("/api/jobs/start", { kind: "map", who: session.who || t("data.me"), params });
      this.setState({ id: job.id, error: null });
    } catch (error) { this.setState({ error }); }
  };

  /** `ondrawn` is called once when a first view of the map is there. */
  change = (job) => {
    if (!job.detail.is_drawn || this.drawn === job.id) return;
    this.drawn = job.id;
    this.props.ondrawn?.();
  };

  render({ ondone, session, isDrawn }, { id, error }) {
    if (id) return html`<${JobStatus} id=${id} onchange=${this.change} ondone=${(job) => { if (!job.error) ondone(); }} />`;
    if (isDrawn) return html`<p class="soft">${t("data.mapFirst")} <${Button} onclick=${this.start}>${t("data.compare")}<//></p><${ErrorNotice} error=${error} />`;
    return html`<${EmptyState} title=${t("data.compareTitle")}><p>${t(session.run ? "data.compareByRun" : "data.compareByPixels")}</p>
      <p><${Button} kind="main" onclick=${this.start}>${t("data.compare")}<//></p><${ErrorNotice} error=${error} /><//>`;
  }
}

// Which run's predictions images are sorted and filtered by; and the job that predicts images it has not predicted yet.

import { ask, get } from "/static/api.js";
import { Button, ErrorNotice, JobStatus, Load, Notice, Select } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { set } from "/static/state.js";
import { t } from "/static/texts.js";

/** `isPredicted`: whether values of the chosen run are known. `ondone` is called when a job has computed them. */
export class RunChoice extends Component {
  start = async () => {
    const { session } = this.props, parts = session.about.parts.length ? session.about.parts : ["train", "validation", "test"];
    try {
      const job = await ask("/api/jobs/start", { kind: "predictions", who: session.who || t("data.me"), params: { run: session.run, parts } });
      this.setState({ id: job.id, error: null });
    } catch (error) { this.setState({ error }); }
  };

  render({ session, isPredicted, ondone }, { id, error }) {
    return html`<${Load} from=${() => get("/api/contents")} loading=${html`<span></span>`}>${({ runs }) => {
      const names = runs.filter((run) => run.status === "finished").map((run) => [run.path, run.name]);
      if (!names.length && !session.run) return null;
      return html`<div class="runchoice"><${Select} label=${t("data.run")} value=${session.run} choices=${[["", t("data.noRun")], ...names]} onchange=${(run) => set({ run })} />
        ${session.run && !isPredicted && !id && html`<${Notice}><p>${t("data.predictText")}</p><${Button} onclick=${this.start}>${t("data.predict")}<//><//>`}
        ${id && !isPredicted && html`<${JobStatus} id=${id} ondone=${(job) => { this.setState({ id: null }); if (!job.error) ondone(); }} />`}
        <${ErrorNotice} error=${error} /></div>`;
    }}<//>`;
  }
}

// A run's predictions that are not computed yet: the job that computes them, started once.

import { ask, get } from "/static/api.js";
import { JobStatus, Load } from "/static/components/index.js";
import { html } from "/static/html.js";
import { same } from "/static/state.js";
import { t } from "/static/texts.js";

/** `ondone()` is called when the predictions of these parts are there. */
export function Predicting({ run, parts, ondone }) {
  return html`<p>${t("mistakes.predicting")}</p><${Load} of=${{ run, parts }} from=${() => started(run, parts)}>${(id) => html`
    <${JobStatus} id=${id} ondone=${(job) => { if (!job.error) ondone(); }} />`}<//>`;
}

/** The id of the job that does it, which another tab can have started. */
async function started(run, parts) {
  const { jobs } = await get("/api/jobs");
  const running = jobs.find((job) => job.is_running && job.kind === "predictions" && job.params.run === run && same(job.params.parts, parts));
  if (running) return running.id;
  return (await ask("/api/jobs/start", { kind: "predictions", who: t("pageMistakes"), params: { run, parts } })).id;
}

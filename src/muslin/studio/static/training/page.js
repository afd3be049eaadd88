// The training room: choose data and a recipe, start, and watch the run; it goes on when the page is closed.

import { html } from "/static/html.js";
import { t } from "/static/texts.js";
import { RunView } from "./run.js";
import { Setup } from "./setup.js";

export default function TrainingPage({ state }) {
  return html`<div class="page"><h1>${t("training.title")}</h1>
    ${state.run ? html`<${RunView} key=${state.run} run=${state.run} state=${state} />` : html`<${Setup} state=${state} />`}</div>`;
}

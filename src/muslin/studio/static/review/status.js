// How far the work is, whether the guarantee still holds, and new models.

import { count, t, tn } from "/static/texts.js";
import { Component, html } from "./html.js";
import * as requests from "./requests.js";

export class Status extends Component {
  componentDidMount() {
    this.load();
  }

  async load() {
    const { session } = this.props;
    try {
      const found = await requests.models({ store: session.store });
      this.setState({ models: found });
    } catch (error) { this.setState({ error: error.message }); }
  }

  render({ session }, { models, error }) {
    return html`<div class="status">
      ${error && html`<p class="error" role="alert">${error}</p>`}
      <${Work} session=${session} />
      ${models && html`<${Models} session=${session} models=${models} />`}
    </div>`;
  }
}

/** Per decision of the model: how many products there are, and how many people have decided. */
function Work({ session: { counts } }) {
  if (!counts) return null;
  return html`<section class="panel"><h2>${t("review.work")}</h2>
    <table><thead><tr><th>${t("review.filter.decisions")}</th><th>${t("review.total")}</th><th>${t("review.decided")}</th><th>${t("review.left")}</th></tr></thead>
      <tbody class="number">${Object.entries(counts.decisions).map(([name, tally]) => html`<tr><th>${t(`review.decision.${name}`)}</th>
        <td>${count(tally.total)}</td><td>${count(tally.decided)}</td><td>${count(tally.total - tally.decided)}</td></tr>`)}</tbody></table>
    <p class="soft">${t("review.sampleText", { n: count(counts.prefix), of: count(counts.sample.total) })}</p>
    ${counts.unreadable > 0 && html`<p class="note">${tn("review.unreadable", counts.unreadable)}</p>`}
  </section>`;
}

function Models({ models }) {
  return html`<section class="panel"><h2>${t("review.models")}</h2><ul class="modelrows">${models.models.map((one) => html`<li key=${one.digest}>
    <strong>${one.name}</strong> <span class="soft">${one.digest.slice(0, 12)}</span> ${one.digest === models.active && html`<span class="stamp">${t("review.active")}</span>`}</li>`)}</ul></section>`;
}

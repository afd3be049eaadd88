// The accuracy of the edited network beside the original's, on many images.

import { ask } from "/static/api.js";
import { Button, ErrorNotice } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { count, percent, t } from "/static/texts.js";

const MAX_IMAGES = 500;

export class EditedAccuracy extends Component {
  async measure(on) {
    this.setState({ isBusy: true, error: null });
    try { this.setState({ made: await ask("/api/accuracy", { inspection: this.props.named, on, count: MAX_IMAGES }), isBusy: false }); } catch (error) { this.setState({ error, isBusy: false }); }
  }

  render(_, { made, isBusy, error }) {
    return html`<div aria-live="polite"><h4>${t("accuracyTitle")}</h4><p class="soft">${t("accuracyLead")}</p>
      <p class="buttons"><${Button} disabled=${isBusy} onclick=${() => this.measure("data")}>${t("accuracyData")}<//><${Button} disabled=${isBusy} onclick=${() => this.measure("golden")}>${t("accuracyGolden")}<//></p>
      ${isBusy && html`<p class="soft">${t("measuring")}</p>`}<${ErrorNotice} error=${error} />${made && html`<${Measured} made=${made} />`}</div>`;
  }
}

function Measured({ made }) {
  const row = (name, one) => html`<tr><th scope="row">${t(name)}</th><td class="number">${count(one.correct)} / ${count(made.n)}</td><td class="number">${percent(one.accuracy)}</td>
    <td class="number soft">${one.interval && `${percent(one.interval[0])} – ${percent(one.interval[1])}`}</td></tr>`;
  return html`<table><caption>${t("accuracyOn", { n: count(made.n), what: t(`on.${made.part}`) })}</caption>
      <thead><tr><th><span class="visuallyhidden">${t("network")}</span></th>${["correct", "accuracy", "interval"].map((name) => html`<th scope="col">${t(`column.${name}`)}</th>`)}</tr></thead>
      <tbody>${row("beforeEdits", made.before)}${row("afterEdits", made.after)}</tbody></table>
    <p class="soft">${t("predictionsChanged", { n: count(made.changed) })}</p>
    ${made.seen_images?.train > 0 && html`<p class="soft">${t("trainedOnSome", { n: count(made.seen_images.train), of: count(made.seen_images.n) })}</p>`}`;
}

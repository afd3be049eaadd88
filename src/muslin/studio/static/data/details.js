// One image, large: its name, its labels, who decided what; and the ways on to a model.

import { Button, Dialog } from "/static/components/index.js";
import { html } from "/static/html.js";
import { roomLink } from "/static/state.js";
import { t } from "/static/texts.js";
import { decidedBy, decisionText } from "./label_panel.js";

const SIDE_PX = 512;

export const sampleName = (data, index) => `sample:${encodeURIComponent(data)}:${index}`;

export function Details({ session, index, close }) {
  const row = session.rows.get(index), { about } = session, image = sampleName(about.data, index);
  const source = `/api/thumbnail?${new URLSearchParams({ image, side: SIDE_PX })}`;
  return html`<${Dialog} title=${row?.id ?? ""} close=${close}><div class="details" onkeydown=${(event) => decidedBy(event, session)}>
    <img src=${source} alt=${session.wordsOf(index, index)} class=${about.shape && Math.max(...about.shape) <= 64 ? "small" : ""} />
    ${row && html`<dl>
      <dt>${t("data.label")}</dt><dd>${session.labelText(row.label)}</dd>
      ${JSON.stringify(row.label) !== JSON.stringify(row.given) && html`<dt>${t("data.given")}</dt><dd>${session.labelText(row.given)}</dd>`}
      ${row.part && html`<dt>${t("data.part")}</dt><dd>${t(`data.part.${row.part}`)}</dd>`}
      ${row.group && html`<dt>${t("data.group")}</dt><dd>${row.group}</dd>`}
      ${session.valuesText(row) && html`<dt>${t("data.model")}</dt><dd>${session.valuesText(row)}</dd>`}
      ${row.decisions.map((one) => html`<dt key=${one.number}>${t("data.decided.title")}</dt><dd>${decisionText(one)}</dd>`)}</dl>`}
    <p class="buttons">${session.run && html`<a class="button" href=${roomLink("model", { model: `${session.run}/model.muslin`, image, tab: "preprocessing" })}>${t("data.openInModel")}</a>`}
      <${Button} onclick=${close}>${t("close")}<//></p>
  </div><//>`;
}

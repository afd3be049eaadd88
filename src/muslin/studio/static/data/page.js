// The data room: a data set as a contact sheet, as the queue of its audit's findings, and as a map by similarity.

import { ask, get } from "/static/api.js";
import { DataList, EmptyState, Load, Notice, Tabs } from "/static/components/index.js";
import { html } from "/static/html.js";
import { link, roomLink } from "/static/state.js";
import { count, messageText, t, tn } from "/static/texts.js";
import { AuditQueue } from "./audit_queue.js";
import { ContactSheet } from "./contact_sheet.js";
import { SimilarityMap } from "./similarity_map.js";
import { WithSession } from "./with_session.js";

const VIEWS = { "": ContactSheet, audit: AuditQueue, map: SimilarityMap };

export default function DataPage({ state }) {
  if (!state.data) return html`<${DataSets} />`;
  return html`<div class="page wide dataroom"><${Load} of=${state.data} words=${t("data.reading")} instead=${html`<p><a href=${roomLink("data", { data: "" })}>${t("data.chooseOther")}</a></p>`} from=${() => ask("/api/data/open", { data: state.data })}>${(about) => html`<${Room} about=${about} state=${state} />`}<//></div>`;
}

function Room({ about, state }) {
  const View = VIEWS[state.show] || ContactSheet;
  const tabs = ["", "audit", "map"].map((name) => [name, t(`data.view.${name || "images"}`), link({ show: name, filters: {}, finding: 0 })]);
  return html`
    <div class="roomhead"><h1>${about.title}</h1>
      <p class="soft">${[tn("data.images", about.n), about.targets[0] && t("data.classes", { n: count(about.targets[0].classes.length) })].filter(Boolean).join(" · ")}</p>
      <p class="buttons"><a class="button" href=${roomLink("training", { data: about.data })}>${t("data.train")}</a></p></div>
    ${about.fixes.length > 0 && html`<details open=${about.left_out > 0}><summary>${[about.left_out > 0 && tn("data.leftOut", about.left_out), tn("data.fixes", about.fixes.length)].filter(Boolean).join(" · ")}</summary>
      <ul>${about.fixes.map((fix) => html`<li>${messageText(fix)}</li>`)}</ul></details>`}
    ${about.damaged_decisions > 0 && html`<${Notice} kind="warning"><p>${tn("data.damaged", about.damaged_decisions, { path: about.corrections })}</p><//>`}
    <${Tabs} label=${t("data.views")} tabs=${tabs} current=${VIEWS[state.show] ? state.show : ""} />
    <${WithSession} about=${about} target=${state.target} run=${state.run}>${(session) => html`<${View} session=${session} state=${state} />`}<//>`;
}

/** The data sets of the folder, where none is chosen yet. */
function DataSets() {
  return html`<div class="page"><h1>${t("pageData")}</h1><${Load} from=${() => get("/api/contents")}>${(contents) => {
    if (!contents.data.length && !contents.offers.some((offer) => offer.is_at_hand)) return html`<${EmptyState} title=${t("data.none")}><p><a class="main" href=${roomLink("home")}>${t("data.goHome")}</a></p><//>`;
    return html`<p class="lead">${t("data.choose")}</p><${DataList} contents=${contents} linkOf=${(data) => roomLink("data", { data })} /><p><a href=${roomLink("home")}>${t("data.moreData")}</a></p>`;
  }}<//></div>`;
}

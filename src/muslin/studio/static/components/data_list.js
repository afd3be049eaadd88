// The data sets to choose from: those of the folder, and registered ones that are on this computer.

import { html } from "/static/html.js";
import { bytes, language, t, tn } from "/static/texts.js";

const dateOf = (seconds) => new Date(1000 * seconds).toLocaleDateString(language, { dateStyle: "medium" });

/** What a data set is, in a few words. */
export const dataFacts = (row) => [t(`home.kind.${row.kind}`), row.images > 0 && tn("home.images", row.images), row.bytes !== null && bytes(row.bytes), dateOf(row.modified)].filter(Boolean);

/** Cards to choose one. `linkOf(data)` is where each leads; a registered one is recommended where `recommends`. */
export function DataList({ contents, linkOf, recommends = false }) {
  const offers = contents.offers.filter((offer) => offer.is_at_hand);
  return html`<ul class="models datalist">
    ${contents.data.map((row) => html`<${Card} key=${row.path} name=${row.name} href=${linkOf(row.path)} path=${row.path} facts=${dataFacts(row).join(" · ")} />`)}
    ${offers.map((offer, n) => html`<${Card} key=${offer.data} name=${t(`home.offer.${offer.data}`)} href=${linkOf(offer.data)} facts=${t(`home.about.${offer.data}`)} note=${recommends && n === 0 && t("home.recommended")} />`)}</ul>`;
}

function Card({ name, href, path, facts, note }) {
  return html`<li class="card"><h3><a href=${href}>${name}</a></h3>${path && path !== name && html`<p class="path soft">${path}</p>`}
    <p class="rowfacts">${facts}</p>${note && html`<p class="recommended">${note}</p>`}</li>`;
}

// The page "review": the stores of the folder, or the room of one.

import { adopt, link, state } from "/static/state.js";
import { t } from "/static/texts.js";
import { html, render } from "/static/html.js";
import { NewReview } from "/static/tagging/review_start.js";
import * as requests from "./requests.js";
import { Room } from "./room.js";
import { sessionOf } from "./session.js";

export async function page() {
  const element = Object.assign(document.createElement("div"), { className: "page full" });
  if (!state.store) {
    const { stores, served } = await requests.stores();
    if (!served) {
      render(html`<${Stores} stores=${stores} />`, element);
      return { element };
    }
    adopt({ store: served });
  }
  const session = await sessionOf(state.store);
  return {
    element,
    shown: () => render(html`<${Room} session=${session} />`, element), // a dialog opens only in the document
    update: () => session.load(),
    showKeys: () => session.openDialog("keys"),
    close: () => render(null, element),
  };
}

function Stores({ stores }) {
  return html`<h1>${t("review.storesTitle")}</h1><p class="lead">${t("review.storesLead")}</p>
    ${stores.length ? html`<ul class="models">${stores.map((name) => html`<li class="card"><h2><a href=${link({ page: "review", store: name })}>${name.split("/").pop()}</a></h2><p class="path soft">${name}</p></li>`)}</ul>`
    : html`<p>${t("review.noStores")}</p>`}
    <${NewReview} />`;
}

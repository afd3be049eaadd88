// The page "walk": the article's six steps over one's own run, and what happens to one's own photo.

import { get } from "/static/api.js";
import { ButtonLink, EmptyState, Load } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { link, roomLink, set, state } from "/static/state.js";
import { t } from "/static/texts.js";
import { isDone, stepAnswers } from "./answers.js";
import { Classes } from "./classes.js";
import { Curves } from "./curves.js";
import { LabSheet } from "./lab_sheet.js";
import { Layers } from "./layers.js";
import { Photo } from "./photo.js";
import { Pixels } from "./pixels.js";
import { describeModel, walkOf } from "./requests.js";
import { Scaling } from "./scaling.js";
import { Sure } from "./sure.js";
import { Teacher } from "./teacher.js";

/** A new step is a row here; its texts are walk.<name>.title, .lead, .task and .question. */
export const STEPS = { pixels: Pixels, scaling: Scaling, layers: Layers, curves: Curves, classes: Classes, sure: Sure, photo: Photo };

const shownSteps = () => Object.keys(STEPS).filter((name) => !state.hide.includes(name));

export default function Walk() {
  const path = state.model || (state.run && `${state.run}/model.muslin`);
  if (!path) return html`<div class="page walk"><h1>${t("walk.title")}</h1><p class="lead">${t("walk.lead")}</p><${Load} from=${() => get("/api/models")} of="models">${Models}<//></div>`;
  return html`<div class="page walk"><${Load} key=${path} from=${() => Promise.all([describeModel(path), walkOf(path)])} of=${path}
    loading=${html`<p class="soft" role="status">${t("walk.reading")}</p>`}>${([model, walk]) => html`<${Steps} model=${model} walk=${walk} />`}<//></div>`;
}

/** The models to walk through. */
function Models({ models }) {
  if (!models.length) return html`<${EmptyState} title=${t("walk.noModels")}><p>${t("walk.noModelsText")}</p><p><${ButtonLink} kind="main" href=${roomLink("training")}>${t("pageTraining")}<//></p><//>`;
  return html`<h2>${t("walk.chooseModel")}</h2><ul class="models">${models.map((one) => html`
    <li class="card" key=${one.path}><h3><a href=${link({ model: one.path })}>${one.name}</a></h3><p class="path soft">${one.path}</p></li>`)}</ul>`;
}

const stepNow = (names) => (names.includes(state.stage) ? state.stage : names[0]);

/** The steps of one model. A new step begins at its title, for the eye and for the keyboard. */
class Steps extends Component {
  constructor() {
    super();
    this.title = createRef();
    this.shown = stepNow(shownSteps());
  }

  componentDidUpdate() {
    const name = stepNow(shownSteps());
    if (name === this.shown) return;
    this.shown = name;
    this.title.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  render({ model, walk }) { return stepView(model, walk, this.title); }
}

function stepView(model, walk, title) {
  const names = shownSteps(), name = stepNow(names);
  if (!name) return html`<${EmptyState} title=${t("walk.allHidden")} />`;
  const at = names.indexOf(name), Step = STEPS[name];
  const to = (one) => link({ stage: one, walk: state.walk });
  const answers = stepAnswers(model.path, name, () => set({}));
  return html`<nav class="walksteps" aria-label=${t("walk.steps")}><ol>${names.map((one) => html`
      <li key=${one}><a href=${to(one)} aria-current=${one === name ? "step" : null}>${isDone(model.path, one) && html`<span aria-label=${t("walk.done")}>✓</span> `}${t(`walk.${one}.name`)}</a></li>`)}</ol></nav>
    <article key=${name}>
      <h1 ref=${title} tabindex="-1">${t(`walk.${name}.title`)}</h1>
      <p class="lead">${t(`walk.${name}.lead`)}</p>
      <${Step} model=${model} walk=${walk} answers=${answers} />
      <${Own} name=${name} answers=${answers} />
    </article>
    <p class="buttons walkends">
      ${at > 0 && html`<${ButtonLink} href=${to(names[at - 1])}>← ${t(`walk.${names[at - 1]}.name`)}<//>`}
      ${at < names.length - 1 && html`<${ButtonLink} kind="main" href=${to(names[at + 1])}>${t(`walk.${names[at + 1]}.name`)} →<//>`}
    </p>
    <footer class="walkfoot"><${LabSheet} model=${model} walk=${walk} names=${names} />${!state.hide.includes("teacher") && html`<${Teacher} names=${Object.keys(STEPS)} />`}</footer>`;
}

/** The learner's own words, which the lab sheet keeps. */
function Own({ name, answers }) {
  return html`<label class="field ownwords"><span>${t(`walk.${name}.question`)}</span>
    <textarea rows="2" maxlength="2000" value=${answers.get("words") || ""} onchange=${(event) => answers.put({ words: event.target.value })}></textarea></label>`;
}

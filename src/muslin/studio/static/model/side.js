// The image and the prediction, with the prediction before the changes, and the true label where it is known.

import { askOnce } from "/static/api.js";
import { Button, ErrorNotice, Load } from "/static/components/index.js";
import { announce } from "/static/dom.js";
import { Component, classes, html } from "/static/html.js";
import { inspection, link, set, state } from "/static/state.js";
import { count, percent, signed, t } from "/static/texts.js";
import { pathAt } from "./epochs.js";
import { ImageDialog } from "./image_dialog.js";
import { thumbnail } from "./image_sources.js";

const MAX_CLASSES = 12; // bars beside the image

export class Side extends Component {
  close = () => this.setState({ isChoosing: false });

  /** The predictions, with what was asked about: the page may be ahead of them. */
  async predict({ snapshots }) {
    const named = inspection(), result = await askOnce("/api/predict", { inspection: named }), [first] = Object.values(result.predictions);
    const last = snapshots?.epoch && pathAt(snapshots, snapshots.epochs.at(-1));
    const later = last && last !== named.model ? (await askOnce("/api/predict", { inspection: { ...named, model: last } })).predictions : null;
    if (first) announce(`${first.label} ${percent(first.probability)}`);
    return { ...result, later, named };
  }

  render({ model, trouble }, { isChoosing, isWhole }) {
    const isSmall = model.input[0] <= 64 && !/^(file|upload):/.test(state.image);
    return html`<aside class=${classes("side", isWhole && "whole")} aria-label=${t("prediction")}>
      <div class="given"><img src=${thumbnail(state.model, state.image, 220)} alt=${t("imageChosen")} class=${classes(isSmall && "small")} />
        <div><${Button} kind="main" data-key="change" onclick=${() => this.setState({ isChoosing: true })}>${t("changeImage")}<//><${Neighbours} model=${model} /></div></div>
      <div class="predictions">
        <${ErrorNotice} error=${trouble} />
        <${Load} of=${inspection()} from=${() => this.predict(model)}>${(result) => html`
          ${model.targets.map((target) => html`<${Prediction} target=${target} found=${result.predictions[target.name]} before=${result.unchanged?.[target.name]} later=${result.later?.[target.name]} truth=${result.labels?.[target.name]} isNamed=${model.targets.length > 1} />`)}
          <${Changes} named=${result.named} />`}<//>
        <${Button} kind="quiet" class="onphone" aria-expanded=${Boolean(isWhole)} onclick=${() => this.setState({ isWhole: !isWhole })}>${t(isWhole ? "model.fewerClasses" : "model.allClasses")}<//>
      </div>
      ${isChoosing && html`<${ImageDialog} model=${model} close=${this.close} />`}
    </aside>`;
  }
}

/** The image before and after this one, where images are numbered. */
function Neighbours({ model }) {
  const [, before, number] = /^(golden:|sample:.*:)(\d+)$/.exec(state.image) || [];
  if (!before) return null;
  const to = (n) => set({ image: `${before}${n}`, image_edits: {}, steps: {} }, true), n = Number(number);
  return html`<span class="neighbours"><${Button} kind="quiet" aria-label=${t("model.imageBefore")} disabled=${n === 0} onclick=${() => to(n - 1)}>←<//>
    <${Button} kind="quiet" aria-label=${t("model.imageAfter")} disabled=${before === "golden:" && n + 1 >= model.golden_images} onclick=${() => to(n + 1)}>→<//></span>`;
}

/** One target's prediction: the class, whether it is the true one, and the probabilities as bars. */
function Prediction({ target, found, before, later, truth, isNamed }) {
  const order = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MAX_CLASSES);
  return html`<section class="prediction">
    ${isNamed && html`<h3>${target.name}</h3>`}
    <p class="verdict"><strong>${found.label}</strong> <span class="number">${percent(found.probability)}</span></p>
    ${truth && html`<p class=${classes("truth", truth !== found.label && "failed")}><span aria-hidden="true">${truth === found.label ? "✓" : "✗"}</span> ${t(truth === found.label ? "model.truthSame" : "model.truthOther", { label: truth })}</p>`}
    ${before && before.label !== found.label && html`<p class="soft">${t("before", { label: before.label, percent: percent(before.probability) })}</p>`}
    ${later && html`<p class="soft">${t("model.later", { label: later.label, percent: percent(later.probability) })}</p>`}
    <ul class="bars">${order.map(([name, p]) => html`<li key=${name}><${Bar} target=${target} name=${name} p=${p} isChange=${Boolean(before)} was=${(before || later)?.probabilities[name]} isTrue=${truth === name} /></li>`)}</ul>
    ${target.classes.length > MAX_CLASSES && html`<p class="soft">${t("moreClasses", { n: count(target.classes.length - MAX_CLASSES) })}</p>`}
  </section>`;
}

function Bar({ target, name, p, was, isChange, isTrue }) {
  return html`<a href=${link({ tab: "attribution", target: target.name, label: name, layer: "", at: [] })} title=${t("whyThis", { class: name })}>
    <span class="name">${name}${isTrue && html` <span class="truemark" title=${t("model.trueLabel")}>✓</span>`}</span>
    <span class="bar" aria-hidden="true"><i style=${{ width: `${100 * p}%` }}></i>${was !== undefined && html`<b style=${{ left: `${100 * was}%` }}></b>`}</span>
    <span class="number">${percent(p)}${isChange && was !== undefined && Math.abs(p - was) >= 0.0005 && html`<small> (${signed(100 * (p - was), 2)})</small>`}</span></a>`;
}

/** How many changes the prediction is made with, and a way back from all of them. */
function Changes({ named: { steps = {}, image_edits = {}, model_edits = [] } }) {
  const n = model_edits.length + Object.keys(image_edits).length + Object.keys(steps).length;
  if (!n) return null;
  return html`<p class="changed">${t("changedNote", { n })} <${Button} kind="quiet" data-key="reset" onclick=${() => set({ model_edits: [], image_edits: {}, steps: {} }, true)}>${t("resetAll")}<//></p>`;
}

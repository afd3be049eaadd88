// The network after each epoch: what it predicted for a fixed set of images, and its first kernels.

import { askOnce } from "/static/api.js";
import { Button, DataImage, Load } from "/static/components/index.js";
import { classes, html } from "/static/html.js";
import { roomLink, set } from "/static/state.js";
import { percent, t } from "/static/texts.js";

const IMAGE_PX = 72;

/** The chosen epoch, or the last one: that of a run in training changes as it goes on. */
const epochShown = (snapshots, epoch) => (snapshots.includes(epoch) ? epoch : snapshots.at(-1));

export function Epochs({ run, state }) {
  const { snapshots } = run;
  if (!snapshots.length) return html`<p class="soft">${t(run.status === "running" ? "training.noSnapshotYet" : "training.noSnapshots")}</p>`;
  const epoch = epochShown(snapshots, state.epoch), [first] = snapshots;
  return html`<section aria-labelledby="epochs"><h2 id="epochs">${t("training.epochs")}</h2><p>${t("training.epochsText")}</p>
    <${EpochSlider} snapshots=${snapshots} epoch=${epoch} choose=${(one) => set({ epoch: one })} follows=${run.status === "running" && !snapshots.includes(state.epoch)} />
    <${Load} of=${epoch} from=${() => askOnce("/api/training/epoch", { run: run.run, epoch })}>${(found) => html`
      ${found.kernels && html`<${Kernels} kernels=${found.kernels} />`}
      ${found.targets.map((target) => html`<${Images} key=${target.name} target=${target} found=${found} images=${`${run.run}/snapshots/${String(first).padStart(4, "0")}.muslin`} />`)}
      <p><a href=${roomLink("model", { model: found.model, run: run.run, image: "golden:0", tab: "network" })}>${t("training.openEpoch", { n: found.epoch })}</a></p>`}<//>
  </section>`;
}

/** A slider over the epochs of which there are snapshots. `choose(0)` means the last one. */
export function EpochSlider({ snapshots, epoch, choose, follows }) {
  const at = snapshots.indexOf(epoch), last = snapshots.length - 1;
  return html`<div class="epochslider"><label><span>${t("training.epochNumber", { n: epoch })}</span>
    <input type="range" min="0" max=${last} step="1" value=${at} disabled=${!last} aria-valuetext=${t("training.epochNumber", { n: epoch })}
      oninput=${(event) => choose(snapshots[Number(event.target.value)])} /></label>
    ${follows ? html`<span class="soft">${t("training.follows")}</span>` : at < last && html`<${Button} kind="quiet" onclick=${() => choose(0)}>${t("training.lastEpoch")}<//>`}</div>`;
}

function Kernels({ kernels }) {
  return html`<figure><figcaption class="soft">${t("training.kernels", { layer: kernels.layer, n: kernels.count })}</figcaption>
    <${DataImage} class="kernelsheet" isSmall data=${kernels.png} alt=${t("training.kernels", { layer: kernels.layer, n: kernels.count })} width=${Math.min(kernels.count, 8) * 44} /></figure>`;
}

function Images({ target, found, images }) {
  const source = (n) => `/api/thumbnail?${new URLSearchParams({ model: images, image: `golden:${n}`, side: IMAGE_PX * 2 })}`;
  const correct = target.labels.filter((label, n) => label !== null && label === target.predicted[n]).length;
  const known = target.labels.filter((label) => label !== null).length;
  return html`<p>${known > 0 && t("training.correctOf", { n: correct, of: known })}</p>
    <ul class="epochimages">${Array.from({ length: found.images }, (_, n) => {
    const label = target.labels[n], predicted = target.predicted[n], isKnown = label !== null, isCorrect = label === predicted;
    return html`<li key=${n} class=${classes(isKnown && !isCorrect && "incorrect")}>
      <img class="small" src=${source(n)} alt="" width=${IMAGE_PX} height=${IMAGE_PX} loading="lazy" />
      <span><b>${target.classes[predicted]}</b> ${percent(target.probabilities[n][predicted], 0)}</span>
      <span class="soft">${isKnown && (isCorrect ? t("training.correct") : t("training.truly", { label: target.classes[label] }))}</span></li>`;
  })}</ul>`;
}

// Step 1: an image is a table of numbers, and a label is what somebody once said it shows.

import { Button, Load, Select } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { percent, t } from "/static/texts.js";
import { PixelGrid, Task, imageNames } from "./parts.js";
import { predict } from "./requests.js";

const IMAGES = 3;

/** Images of classes far from each other in the list of classes; without labels the first golden images. */
export function firstImages(model, walk, count = IMAGES) {
  if (!walk.examples) return imageNames(model, walk, Array.from({ length: count }, (_, i) => i));
  const { labels } = walk.examples, step = walk.classes.length / count;
  const wanted = Array.from({ length: count }, (_, i) => labels.indexOf(Math.floor(i * step)));
  return imageNames(model, walk, wanted.map((i, n) => (i < 0 ? n % labels.length : i)));
}

/** The label of an image of the walk; null where it is not known. */
export const labelOf = (walk, image) => (walk.examples && image.startsWith("example:") ? walk.classes[walk.examples.labels[Number(image.slice(8))]] : null);

export function Pixels({ model, walk, answers }) {
  const images = firstImages(model, walk), guesses = answers.get("guesses") || {};
  const at = Math.min(state.walk.at ?? images.findIndex((image) => !guesses[image]), images.length - 1);
  const image = images[Math.max(at, 0)], label = labelOf(walk, image);
  const guessed = guesses[image];
  const guess = (words) => {
    const all = { ...guesses, [image]: words };
    set({ walk: { ...state.walk, at: Math.max(at, 0) } });
    answers.record(rowsOf(images, all, walk), images.filter((one) => all[one]).map((one) => [one, labelOf(walk, one) ? "walk.pixels.sheetImage" : "walk.pixels.sheetUnlabelled", { guess: all[one], label: labelOf(walk, one) }]), { guesses: all });
  };
  return html`<${PixelGrid} key=${image} model=${model} image=${image} words=${t("walk.pixels.image", { n: Math.max(at, 0) + 1, of: images.length })} />
    <${Task} text=${t("walk.pixels.task")} done=${images.every((one) => guesses[one])}>
      <div class="toolbar"><${Select} key=${image} label=${t("walk.pixels.call", { n: Math.max(at, 0) + 1, of: images.length })} value=${guessed || ""} onchange=${(words) => words && guess(words)}
        choices=${[["", t("walk.choose")], ...walk.classes.map((name) => [name, name])]} />
      ${guessed && html`<${Button} onclick=${() => set({ walk: { ...state.walk, at: (Math.max(at, 0) + 1) % images.length } })}>${t("walk.nextImage")}<//>`}</div>
      ${guessed && html`<${Load} from=${() => predict({ model: model.path, image })} of=${image}>${({ predictions }) => {
    const { label: predicted, probability } = predictions[walk.target];
    return html`<p role="status">${label ? t("walk.pixels.compare", { guess: guessed, label, predicted, probability: percent(probability) }) : t("walk.pixels.compareUnlabelled", { guess: guessed, predicted, probability: percent(probability) })}</p>`;
  }}<//>`}
    <//>`;
}

function rowsOf(images, guesses, walk) {
  const guessed = images.filter((image) => guesses[image]);
  const agreed = guessed.filter((image) => guesses[image] === labelOf(walk, image)).length;
  return walk.examples ? [["walk.pixels.sheet", { n: guessed.length, agreed }]] : [["walk.pixels.sheetNoLabels", { n: guessed.length }]];
}

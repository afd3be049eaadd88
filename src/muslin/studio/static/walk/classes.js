// Step 5: the classes that the model confuses most. The learner sorts the same images as the model did.

import { Button, Select } from "/static/components/index.js";
import { html } from "/static/html.js";
import { roomLink, state } from "/static/state.js";
import { percent, t, tn } from "/static/texts.js";
import { Task, WalkImage } from "./parts.js";

export function Classes({ model, walk, answers }) {
  if (!walk.examples) return html`<p class="note">${t("walk.noLabels")} ${walk.reason?.message}</p>`;
  const { group, to_sort: images } = walk.examples;
  const names = group.map((i) => walk.classes[i]);
  return html`<p>${t("walk.classes.group", { names: names.join(", ") })} ${confusions(walk, group)}
      ${!state.hide.includes("pages") && html` <a href=${roomLink("mistakes", { run: model.path.replace(/\/?[^/]*$/, "") })}>${t("walk.classes.all")}</a>`}</p>
    <${Sorting} ...${{ model, walk, answers, names, images }} />`;
}

/** How many of these images the model confuses within the group. */
function confusions({ examples }, group) {
  const inGroup = examples.labels.map((label, i) => [label, examples.predicted[i]]).filter(([label]) => group.includes(label));
  const errors = inGroup.filter(([label, predicted]) => label !== predicted && group.includes(predicted)).length;
  return tn("walk.classes.errors", errors, { of: inGroup.length });
}

function Sorting({ model, walk, answers, names, images }) {
  const { labels, predicted } = walk.examples, sorted = answers.get("sorted") || {};
  const isFinished = Boolean(answers.get("rows")), left = images.filter((i) => !sorted[i]).length;
  const mine = images.filter((i) => sorted[i] === walk.classes[labels[i]]).length, its = images.filter((i) => predicted[i] === labels[i]).length;
  const put = (i, name) => answers.put({ sorted: { ...sorted, [i]: name } });
  const finish = () => answers.record([["walk.classes.sheet", { n: images.length, mine, its, names: names.join(", ") }]],
    images.map((i) => [`example:${i}`, "walk.classes.sheetImage", { label: walk.classes[labels[i]], mine: sorted[i], its: walk.classes[predicted[i]] }]));
  const again = () => answers.put({ sorted: {}, rows: [], images: [] });
  return html`<${Task} text=${t("walk.classes.task", { n: images.length })} done=${isFinished}>
    <ul class="walksort">${images.map((i, n) => html`<li key=${i}>
      <${WalkImage} model=${model} image=${`example:${i}`} words=${t("walk.imageN", { n: n + 1 })} />
      ${isFinished ? html`<${Sorted} ...${{ model, walk, i, mine: sorted[i] }} />`
    : html`<${Select} label=${t("walk.imageN", { n: n + 1 })} hideLabel value=${sorted[i] || ""} onchange=${(name) => put(i, name)} choices=${[["", t("walk.choose")], ...names.map((name) => [name, name])]} />`}</li>`)}</ul>
    ${isFinished ? html`<p role="status"><strong>${t("walk.classes.result", { mine, its, n: images.length })}</strong> ${t("walk.classes.ceiling")}</p><p><${Button} onclick=${again}>${t("walk.again")}<//></p>`
    : html`<p><${Button} kind="main" disabled=${left > 0} onclick=${finish}>${left ? tn("walk.classes.left", left) : t("walk.classes.show")}<//></p>`}
  <//>`;
}

/** What an image was said to be by its label, by the learner and by the model, and the way to why. */
function Sorted({ model, walk, i, mine }) {
  const { labels, predicted, probability } = walk.examples, label = walk.classes[labels[i]], its = walk.classes[predicted[i]];
  const mark = (name) => (name === label ? "✓" : "✗");
  const why = roomLink("model", { model: model.path, image: `example:${i}`, tab: "attribution", target: walk.target, label: its });
  return html`<dl class="walksaid"><dt>${t("walk.label")}</dt><dd>${label}</dd><dt>${t("walk.you")}</dt><dd>${mark(mine)} ${mine}</dd>
    <dt>${t("walk.model")}</dt><dd>${mark(its)} ${its} ${percent(probability[i], 0)}</dd></dl><a href=${why}>${t("walk.why")}</a>`;
}

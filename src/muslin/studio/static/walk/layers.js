// Step 3: what a convolution, a ReLU, pooling and dropout do: each can be turned off, or on.

import { ChannelMap, Load, Switch, Table } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { Bars, Task } from "./parts.js";
import { firstImages, labelOf } from "./pixels.js";
import { accuracy, featureMaps, predict } from "./requests.js";

const SEED = 1;
const MAX_OFF = 8; // layers of one kind; in deeper networks the values overflow without all of their ReLUs

/** Per kind its layers, and the edits that turn them off (of many only the first), or dropout on. */
function kindsOf(model, channel) {
  const having = (ops, edit) => model.layers.filter((layer) => ops.includes(layer.op) && layer.edits.includes(edit));
  const all = (layers, edit) => (layers.length > MAX_OFF ? layers.slice(0, 1) : layers).map((layer) => ({ ...edit, layer: layer.name }));
  const convolution = having(["Conv"], "channel_off").slice(0, 1), relu = having(["Relu", "Clip"], "layer_off");
  const pooling = having(["MaxPool"], "pooling"), dropout = model.layers.filter((layer) => layer.edits.includes("dropout"));
  return {
    convolution: { layers: convolution, edits: all(convolution, { kind: "channel_off", channel }) },
    relu: { layers: relu, edits: all(relu, { kind: "layer_off" }) },
    pooling: { layers: pooling, edits: all(pooling, { kind: "pooling", how: "first" }) },
    dropout: { layers: dropout, edits: all(dropout, { kind: "dropout", seed: SEED }) },
  };
}

export function Layers({ model, walk, answers }) {
  const image = firstImages(model, walk)[0], named = { model: model.path, image };
  const first = model.layers.find((layer) => layer.op === "Conv" && layer.edits.includes("channel_off"));
  if (!first) return html`<p class="note">${t("walk.layers.none")}</p>`;
  return html`<${Load} from=${() => Promise.all([predict(named), featureMaps(named, first.name)])} of=${image}>${([found, { header }]) => html`
    <${Switches} ...${{ model, walk, answers, image, found, strongest: header.high.indexOf(Math.max(...header.high)), lowest: header.low.indexOf(Math.min(...header.low)) }} />`}<//>`;
}

/** `strongest` is the channel with the largest value; ReLU is shown in the one with the `lowest`, where it does most. */
function Switches({ model, walk, answers, image, found, strongest, lowest }) {
  const kinds = kindsOf(model, strongest), channelOf = (name) => (name === "relu" ? lowest : strongest), changed = state.walk.changed;
  const edits = kinds[changed]?.edits || [];
  const named = { model: model.path, image }, edited = { ...named, model_edits: edits };
  const change = (name) => set({ walk: { ...state.walk, changed: name } });
  return html`<ul class="walkkinds">${Object.entries(kinds).map(([name, { layers }]) => html`<li class="panel" key=${name}>
      <h3>${t(`walk.layers.${name}`)}</h3><p>${t(`walk.layers.${name}.text`)}${layers.length > MAX_OFF && ` ${t("walk.layers.onlyFirst", { n: layers.length })}`}</p>
      ${layers.length ? html`<div class="walkmaps"><${ChannelMap} inspection=${changed === name ? edited : named} layer=${layers[0].name} channel=${channelOf(name)} role="img" aria-label=${t("walk.layers.map", { layer: layers[0].name, channel: channelOf(name) + 1 })} /></div>
        <${Switch} label=${t(`walk.layers.${name}.switch`, { channel: strongest + 1 })} checked=${(changed === name) === (name === "dropout")} onchange=${() => change(changed === name ? "" : name)} />`
    : html`<p class="soft">${t("walk.layers.absent")}</p>`}</li>`)}</ul>
    <${Load} from=${() => predict(edited)} of=${edits}>${({ predictions }) => html`<${Bars} caption=${changed ? t(`walk.layers.${changed}.changed`) : t("walk.layers.asTrained")} probabilities=${predictions[walk.target].probabilities} marked=${labelOf(walk, image)} />`}<//>
    <${Task} text=${t("walk.layers.task")} done=${Boolean(answers.get("rows"))}>
      ${edits.length > 0 && html`<${Load} key=${changed} from=${() => measured({ walk, answers, image, edited, changed, found })} of=${changed} loading=${html`<p role="status">${t("walk.layers.measuring")}</p>`}>${() => null}<//>`}
      <${Tried} answers=${answers} />
    <//>`;
}

/** Measure the edited network once, and keep the result. */
async function measured({ walk, answers, image, edited, changed, found }) {
  const [{ predictions }, tried] = await Promise.all([predict(edited), accuracy(edited, walk.target, walk)]);
  const one = { label: predictions[walk.target].label, n: tried.n, isAgreement: tried.part === "golden", before: tried.before.accuracy, after: tried.after.accuracy };
  const all = { ...answers.get("tried"), [changed]: one };
  const rows = Object.entries(all).map(([name, row]) => [row.isAgreement ? "walk.layers.sheetAgreement" : `walk.layers.${name}.sheet`, { n: row.n, change: t(`walk.layers.${name}.changed`), before: percent(row.before), after: percent(row.after), label: row.label }]);
  answers.record(rows, [[image, "walk.layers.sheetImage", { label: found.predictions[walk.target].label }]], { tried: all });
  return one;
}

function Tried({ answers }) {
  const tried = Object.entries(answers.get("tried") || {});
  if (!tried.length) return null;
  const { n, isAgreement } = tried[0][1]; // without labels, only whether the prediction stays is known
  const columns = [
    { name: "what", words: t("walk.layers.what"), cell: ([name]) => t(`walk.layers.${name}.changed`) },
    { name: "label", words: t("walk.layers.prediction"), cell: ([, row]) => row.label },
    ...isAgreement ? [] : [{ name: "before", words: t("walk.layers.before"), isNumber: true, cell: ([, row]) => percent(row.before) }],
    { name: "after", words: t(isAgreement ? "walk.layers.agreement" : "walk.layers.after"), isNumber: true, cell: ([, row]) => percent(row.after) },
  ];
  return html`<${Table} caption=${t(isAgreement ? "walk.layers.measuredGolden" : "walk.layers.measured", { n: count(n) })} columns=${columns} rows=${tried} rowKey=${([name]) => name} />`;
}

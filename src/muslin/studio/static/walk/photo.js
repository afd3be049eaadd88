// "My own photo is called a bag": what the network is given of it, step by step, and what helps.

import { send } from "/static/api.js";
import { Button, DataImage, ErrorNotice, FileDrop, Load, Select, Switch, Table } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { ImageDialog } from "/static/model/image_dialog.js";
import { roomLink, set, state } from "/static/state.js";
import { count, messageText, number, percent, t } from "/static/texts.js";
import { Bars, Task, WalkImage } from "./parts.js";
import { compare, crop, predict } from "./requests.js";

const SIDES = ["left", "top", "right", "bottom"];
const WHOLE = { left: 0, top: 0, right: 1, bottom: 1 };
const NONE = "\0none"; // no class has this name

const change = (changes) => set({ walk: { ...state.walk, ...changes } }, true);

export function Photo({ model, walk, answers }) {
  const { photo } = state.walk;
  return html`<${Source} model=${model} />${photo && html`<${Load} from=${() => predict({ model: model.path, image: photo })} of=${photo}>${(found) => html`
    <${Given} found=${found} />
    <${Compared} ...${{ model, walk, photo }} />
    <${Mend} ...${{ model, walk, answers, photo, found }} />`}<//>`}`;
}

/** Where the photo comes from: a file that is dropped here, or what the model's page offers. */
class Source extends Component {
  take = async ([{ file }]) => {
    this.setState({ error: null });
    try { this.use((await send(file)).image); } catch (error) { this.setState({ error }); }
  };

  use = (photo) => change({ photo, original: "", inverted: 0 });

  render({ model }, { error, isOpen }) {
    return html`<${FileDrop} accept="image/*" withFolder=${false} onfiles=${this.take}><p>${t("walk.photo.drop")}</p><//>
      <p><${Button} onclick=${() => this.setState({ isOpen: true })}>${t("walk.photo.others")}<//></p>
      ${isOpen && html`<${ImageDialog} model=${model} onimage=${this.use} close=${() => this.setState({ isOpen: false })} />`}
      <${ErrorNotice} error=${error} />`;
  }
}

/** Every step from the file to the numbers that the network gets. */
function Given({ found }) {
  return html`<h2>${t("walk.photo.given")}</h2><ol class="strip walkgiven">${found.steps.map((step) => html`<li class="step" key=${step.name}>
    <h3>${messageText(step.title)}</h3><${DataImage} data=${step.image.png} alt="" isSmall=${step.image.width <= 64} /><p class="text">${messageText(step.text)}</p></li>`)}</ol>`;
}

/** How the photo differs from the images that the model knows. */
function Compared({ model, walk, photo }) {
  const named = { model: model.path, image: photo, ...inverted() };
  return html`<${Load} from=${() => compare(named)} of=${named}>${(found) => {
    const columns = [
      { name: "metric", words: t("walk.photo.metric"), cell: (row) => t(`walk.photo.${row.metric}`) },
      { name: "value", words: t("walk.photo.yours"), isNumber: true, cell: (row) => shown(row, row.value) },
      { name: "range", words: t("walk.photo.known"), isNumber: true, cell: (row) => `${shown(row, row.low)} – ${shown(row, row.high)}` },
      { name: "advice", words: t("walk.photo.advice"), cell: (row) => (sideOf(row) ? t(`walk.photo.${row.metric}.${sideOf(row)}`) : t("walk.photo.usual")) },
    ];
    return html`<h2>${t("walk.photo.compared")}</h2><p>${t(walk.examples ? "walk.photo.comparedTo" : "walk.photo.comparedToGolden", { n: count(found.known) })}</p>
      <${Table} caption=${t("walk.photo.compared")} columns=${columns} rows=${found.comparisons} rowKey=${(row) => row.metric} />
      ${found.nearest.length > 0 && html`<p>${t("walk.photo.nearest", { label: found.label })}</p><ul class="walkrow">${found.nearest.map((i) => html`<li key=${i}><a href=${roomLink("model", { model: model.path, image: `example:${i}` })}><${WalkImage} model=${model} image=${`example:${i}`} side=${84} words=${`${found.label} ${i}`} /></a></li>`)}</ul>`}
      <p class="note">${t(`walk.photo.decision.${found.decision.replaceAll(" ", "_")}`, { n: walk.classes.length, label: found.label, probability: percent(found.probability) })}</p>`;
  }}<//>`;
}

const IS_SHARE = new Set(["clutter", "filled"]);
const shown = (row, value) => (IS_SHARE.has(row.metric) ? percent(value, 0) : number(value, 3));
/** Whether a value lies outside the usual range: "low", "high", or nothing. A level of gray more or less is none. */
function sideOf({ metric, value, low, high }) {
  const slack = IS_SHARE.has(metric) ? 0.02 : 2;
  return value < low - slack ? "low" : value > high + slack ? "high" : "";
}
const inverted = () => (state.walk.inverted ? { image_edits: { invert: 1 } } : {});

/** Change one thing at a time: cut the garment out, make the ground white, or invert. */
class Mend extends Component {
  constructor() {
    super();
    this.state = { box: WHOLE, ground: 0, error: null };
  }

  cut = async () => {
    const { model, photo } = this.props;
    try {
      const { image } = await crop({ model: model.path, image: photo, ground: this.state.ground, ...this.state.box });
      this.setState({ box: WHOLE, ground: 0, error: null });
      change({ photo: image, original: state.walk.original || photo });
    } catch (error) { this.setState({ error }); }
  };

  render({ model, walk, answers, photo, found }, { box, ground, error }) {
    const { original } = state.walk, named = { model: model.path, image: photo, ...inverted() };
    const slider = (side) => html`<label class="slider" key=${side}><span>${t(`walk.photo.${side}`)}</span><input type="range" min="0" max="1" step="0.01" value=${box[side]} oninput=${(event) => this.setState({ box: { ...box, [side]: event.target.valueAsNumber } })} /><output>${percent(box[side], 0)}</output></label>`;
    const inset = { left: `${100 * Math.min(box.left, box.right)}%`, top: `${100 * Math.min(box.top, box.bottom)}%`, width: `${100 * Math.abs(box.right - box.left)}%`, height: `${100 * Math.abs(box.bottom - box.top)}%` };
    return html`<${Task} text=${t("walk.photo.task")} done=${Boolean(answers.get("rows"))}>
      <${Select} label=${t("walk.photo.whatIsIt")} value=${answers.get("truth") || ""} onchange=${(truth) => answers.put({ truth })} choices=${[["", t("walk.choose")], ...walk.classes.map((name) => [name, name]), [NONE, t("walk.photo.noneOfThese")]]} />
      <div class="beside walkbeside"><span class="walkcut"><${DataImage} data=${found.steps[0].image.png} alt=${t("walk.photo.cutOf")} /><span class="walkbox" style=${inset} aria-hidden="true"></span></span>
        <div class="sliders">${SIDES.map(slider)}
          <label class="slider"><span>${t("walk.photo.ground")}</span><input type="range" min="0" max="100" value=${ground} oninput=${(event) => this.setState({ ground: event.target.valueAsNumber })} /><output>${ground}</output></label>
          <p class="buttons"><${Button} onclick=${this.cut}>${t("walk.photo.cut")}<//>${original && html`<${Button} onclick=${() => change({ photo: original, original: "" })}>${t("walk.photo.uncut")}<//>`}</p>
          <${ErrorNotice} error=${error} />
          <${Switch} label=${t("walk.photo.invert")} checked=${Boolean(state.walk.inverted)} onchange=${(on) => change({ inverted: on ? 1 : 0 })} /></div></div>
      <${Load} from=${() => predict(named)} of=${named}>${({ predictions }) => html`<${Bars} caption=${t("walk.photo.now")} probabilities=${predictions[walk.target].probabilities} />
        <p><${Button} kind="main" onclick=${() => this.record(predictions[walk.target])}>${t("walk.keep")}<//></p>`}<//>
      ${answers.get("rows") && html`<p role="status">${t("walk.photo.kept", { n: answers.get("rows").length })}</p>`}
    <//>`;
  }

  /** Each attempt is a row of the lab sheet. */
  record({ label, probability }) {
    const { answers, photo } = this.props, { original } = state.walk;
    const key = original && state.walk.inverted ? "walk.photo.sheetBoth" : original ? "walk.photo.sheetCut" : state.walk.inverted ? "walk.photo.sheetInverted" : "walk.photo.sheet";
    const truth = answers.get("truth"), words = { label, probability: percent(probability), truth: truth === NONE ? t("walk.photo.noneOfThese") : truth || "–" };
    answers.record([...(answers.get("rows") || []), [key, words]], [...(answers.get("images") || []).filter(([image]) => image !== photo), [photo, key, words]]);
  }
}

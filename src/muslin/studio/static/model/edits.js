// Edits: rotate, translate or blur the image, and edit the network. Every edit is in a list and can be undone.

import { packed } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { Button, Canvas, Load, Switch } from "/static/components/index.js";
import { debounce } from "/static/dom.js";
import { Component, html } from "/static/html.js";
import { paint, paintImage } from "/static/painting.js";
import { set, state } from "/static/state.js";
import { number, t, tOr } from "/static/texts.js";
import { EditedAccuracy } from "./edited_accuracy.js";

const IMAGE_EDITS = [ // name, low, high, step, neutral value
  ["rotate", -180, 180, 1, 0], ["translate_x", -10, 10, 1, 0], ["translate_y", -10, 10, 1, 0],
  ["blur", 0, 4, 0.1, 0], ["brightness", -1, 1, 0.05, 0], ["contrast", 0, 3, 0.05, 1],
];

export function Edits({ model, named }) {
  return html`<h2>${t("tab.edits")}</h2><p class="lead">${t("editsLead")}</p>
    <div class="editor">
      <section class="panel"><h3>${t("editImage")}</h3><div class="beside">
        <${Load} of=${named} from=${() => packed("/api/pixels", { inspection: named, step: "model_input", max_px: 256 })}>${(found) => html`<${ModelInput} found=${found} />`}<//>
        <${ImageEdits} model=${model} /></div></section>
      <section class="panel"><h3>${t("editNetwork")}</h3><${ModelEdits} model=${model} />
        ${state.model_edits.length > 0 && html`<${EditedAccuracy} named=${named} key=${JSON.stringify(state.model_edits)} />`}</section>
    </div>`;
}

function ModelInput({ found }) {
  return html`<${Canvas} class="modelinput" role="img" aria-label=${t("modelInput")} of=${found} paint=${(canvas) => paintInput(canvas, found)} />`;
}

function paintInput(canvas, { header: { rows, columns, channels }, data }) {
  if (channels === 1) paint(canvas, data, rows, columns, scaleOf(0, 255, true));
  else paintImage(canvas, data, rows, columns, channels);
}

class ImageEdits extends Component {
  constructor() {
    super();
    this.state = { typed: {} }; // what a slider shows until the address has it
    this.change = debounce((name, value, neutral) => {
      const { [name]: before, ...others } = state.image_edits;
      this.setState({ typed: {} });
      set({ image_edits: value === neutral ? others : { ...others, [name]: value } });
    }, 30);
  }

  move(name, value, neutral) {
    this.setState({ typed: { ...this.state.typed, [name]: value } });
    this.change(name, value, neutral);
  }

  render({ model }, { typed }) {
    const maxShift = Math.max(10, Math.round(Math.max(...model.input.slice(0, 2)) / 3));
    return html`<div class="sliders">${IMAGE_EDITS.map(([name, low, high, step, neutral]) => {
      const limit = name.startsWith("translate") ? maxShift : 0, value = typed[name] ?? state.image_edits[name] ?? neutral;
      return html`<label class="slider" key=${name}><span>${t(`imageEdit.${name}`)}</span>
        <input type="range" min=${limit ? -limit : low} max=${limit || high} step=${step} value=${value} data-edit=${name} oninput=${(event) => this.move(name, event.target.valueAsNumber, neutral)} />
        <output class="number">${number(value, 3)}</output></label>`;
    })}
      <${Switch} label=${t("imageEdit.invert")} checked=${Boolean(state.image_edits.invert)} data-edit="invert" onchange=${(on) => this.change("invert", on, false)} />
      <p><${Button} onclick=${() => set({ image_edits: {} })}>${t("resetImage")}<//></p></div>`;
  }
}

const wordsOf = (edit) => t(`edit.${edit.kind}`, {
  layer: edit.layer, channel: (edit.channel ?? 0) + 1, output: (edit.output ?? 0) + 1, input: (edit.input ?? 0) + 1, value: number(edit.value), how: edit.how ? tOr(`pooling.${edit.how}`, edit.how) : "",
});

/** The edits of the network in order, and the layers that can be edited. */
function ModelEdits({ model }) {
  const able = model.layers.filter((layer) => layer.edits.length), edits = state.model_edits;
  return html`${edits.length ? html`<ol class="edits">${edits.map((edit, n) => html`<li key=${n}><span>${wordsOf(edit)}</span> <${Button} kind="quiet" aria-label=${`${t("undoEdit")}: ${wordsOf(edit)}`}
      onclick=${() => set({ model_edits: edits.filter((_, k) => k !== n) })}>${t("undoEdit")}<//></li>`)}</ol>` : html`<p class="soft">${t("noEdits")}</p>`}
    <p class="buttons"><${Button} data-key="undo" disabled=${!edits.length} onclick=${() => set({ model_edits: edits.slice(0, -1) })}>${t("undoLast")}<//>
      <${Button} data-key="reset" disabled=${!edits.length} onclick=${() => set({ model_edits: [] })}>${t("reset")}<//></p>
    ${able.length > 0 && html`<details open=${!edits.length}><summary>${t("layersToEdit")}</summary><ul class="editable">${able.map((layer) => html`<li key=${layer.name}>
      <${Button} kind="quiet link" onclick=${() => set({ tab: "network", layer: layer.name, channel: 0, at: [] }, true)}>${layer.name}<//> <span class="soft">${layer.edits.map((kind) => t(`editKind.${kind}`)).join(", ")}</span></li>`)}</ul></details>`}`;
}

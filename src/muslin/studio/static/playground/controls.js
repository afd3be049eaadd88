// What can be chosen on the bench: the image, the kernel with its weights, ReLU and pooling.

import { packed } from "/static/api.js";
import { Button, Cells, Choice, Field, Load, Select, Switch, WeightField } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { fitted, KERNELS, positionsAlong } from "/static/kernels.js";
import { roomLink, set, state } from "/static/state.js";
import { number, t } from "/static/texts.js";
import { ImageDialog } from "/static/model/image_dialog.js";
import { thumbnail } from "/static/model/image_sources.js";
import { nameOf, POOLINGS, SIZES } from "./stages.js";

export function Controls({ about, given, settings }) {
  return html`<div class="controls"><${ImagePanel} about=${about} given=${given} /><${KernelPanel} about=${about} given=${given} settings=${settings} /><${AfterPanel} settings=${settings} /></div>`;
}

class ImagePanel extends Component {
  render({ about, given }, { isChoosing }) {
    return html`<section class="panel"><h2>${t("image")}</h2>
      <div class="chosen">${about && html`<img src=${thumbnail(about.path, state.image, 128)} alt=${t("imageChosen")} width="72" height="72" class=${about.input[0] <= 64 ? "small" : null} />`}
        ${about ? html`<${Button} onclick=${() => this.setState({ isChoosing: true })}>${t("changeImage")}<//>` : html`<p class="soft">${t("testImage")}</p>`}</div>
      ${!about && html`<p><a href=${roomLink("model")}>${t("playground.ownImage")}</a></p>`}
      ${given.planes.length === 3 && html`<${Choice} legend=${t("channels")} name="colour" value=${state.colour} onchange=${(colour) => set({ colour })} choices=${[["gray", t("gray")], ["channels", t("perChannel")]]} />`}
      <p class="soft number">${given.columns} × ${given.rows}</p>
      ${isChoosing && html`<${ImageDialog} model=${about} close=${() => this.setState({ isChoosing: false })} />`}</section>`;
  }
}

function KernelPanel({ about, given, settings: { kernel, stride, padding, border } }) {
  const learned = about?.layers.filter((one) => one.kernel && one.kernel.size[0] === one.kernel.size[1] && one.kernel.size[0] > 1 && SIZES.includes(one.kernel.size[0])) || [];
  const within = (name, low, high) => (value) => { if (Number.isInteger(value) && value >= low && value <= high) set({ [name]: value }); };
  return html`<section class="panel"><h2>${t("kernel")}</h2>
    <div class="fieldrow">
      <${Select} label=${t("namedKernels")} value=${nameOf(kernel)} choices=${[...Object.keys(KERNELS), "custom"].map((name) => [name, t(`kernel.${name}`)])}
        onchange=${(name) => { if (name !== "custom") set({ kernel: fitted(KERNELS[name], Math.max(3, kernel.length)) }); }} />
      ${learned.length > 0 && html`<${Select} label=${t("learnedKernels")} value=${state.layer} choices=${[["", t("chooseLayer")], ...learned.map(({ name }) => [name, name])]} onchange=${(layer) => set({ layer })} />`}</div>
    <div id="learned">${learned.some((one) => one.name === state.layer) && html`<${Learned} key=${state.layer} layer=${state.layer} />`}</div>
    <${Weights} kernel=${kernel} />
    <div class="fieldrow">
      <${Select} label=${t("size")} value=${kernel.length} choices=${SIZES.map((n) => [n, `${n} × ${n}`])} onchange=${(n) => set({ kernel: fitted(kernel, Number(n)) })} />
      <${Field} label=${t("stride")} type="number" live min="1" max="4" value=${stride} onchange=${within("stride", 1, 4)} />
      <${Field} label=${t("padding")} type="number" live min="0" max="6" value=${padding} onchange=${within("padding", 0, 6)} />
      <${Select} label=${t("border")} value=${border} choices=${["zero", "edge"].map((one) => [one, t(`border.${one}`)])} onchange=${(one) => set({ border: one })} /></div>
    <p class="soft number">${t("outputSize", { n: given.columns, k: kernel.length, p: padding, s: stride, out: positionsAlong(given.columns, kernel.length, stride, padding) })}</p></section>`;
}

function Weights({ kernel }) {
  const field = (y, x, value) => html`<${WeightField} key=${`${kernel.length}-${y}-${x}`} live value=${value} label=${t("weightAt", { row: y + 1, column: x + 1 })}
    onchange=${(typed) => set({ kernel: kernel.map((row, v) => row.map((one, u) => (v === y && u === x ? typed : one))) })} />`;
  return html`<div class="kernelgrid"><${Cells} values=${kernel} label=${t("kernel")} input=${field} />
    <p class="soft number">${t("kernelSum", { sum: number(kernel.flat().reduce((a, b) => a + b, 0)) })} <${Button} kind="quiet" onclick=${() => set({ kernel: kernel.map((row) => row.map((value) => -value || 0)) })}>${t("negateKernel")}<//></p></div>`;
}

/** A kernel that the model has learned: from an input channel to an output channel. */
class Learned extends Component {
  state = { output: 0, input: 0 };

  use({ header, data }, { output, input }) {
    const size = header.rows, from = (output * header.inputs + input) * size * size;
    this.setState({ output, input });
    set({ kernel: Array.from({ length: size }, (_, y) => Array.from(data.subarray(from + y * size, from + (y + 1) * size), (value) => Number(value.toFixed(4)))) });
  }

  render({ layer }, chosen) {
    const request = { inspection: { model: state.model, image: state.image }, layer };
    return html`<${Load} of=${request} from=${() => packed("/api/kernels", request)}>${(found) => {
      const spin = (name, words, max) => html`<${Field} label=${words} type="number" live min="1" max=${max} value=${chosen[name] + 1} onchange=${(value) => { if (value >= 1 && value <= max) this.use(found, { ...chosen, [name]: value - 1 }); }} />`;
      return html`<div class="fieldrow">${spin("output", t("outputOf", { n: found.header.outputs }), found.header.outputs)}${spin("input", t("inputOf", { n: found.header.inputs }), found.header.inputs)}
        <${Button} onclick=${() => this.use(found, chosen)}>${t("useKernel")}<//></div>`;
    }}<//>`;
  }
}

/** What follows a convolution in most networks. */
function AfterPanel({ settings: { hasRelu, pool } }) {
  return html`<section class="panel"><h2>${t("playground.after")}</h2>
    <${Switch} label=${t("playground.withRelu")} checked=${hasRelu} data-key="relu" onchange=${(relu) => set({ relu })} />
    <${Choice} legend=${t("playground.pooling")} name="pool" value=${pool} onchange=${(one) => set({ pool: one })} choices=${POOLINGS.map((one) => [one, t(`playground.pool.${one}`)])} /></section>`;
}

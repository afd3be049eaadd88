// The kernel between an input channel and an output channel, which can be edited weight by weight.

import { packed } from "/static/api.js";
import { Button, Cells, Field, Legend, Load, WeightField } from "/static/components/index.js";
import { scaleOf } from "/static/colour.js";
import { Component, html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { number, t } from "/static/texts.js";

export class KernelPanel extends Component {
  state = { input: 0 };

  choose = (value) => {
    if (Number.isInteger(value) && value >= 1) this.setState({ input: value - 1 });
  };

  render({ layer, named, channel }, { input }) {
    const request = { inspection: named, layer: layer.name };
    return html`<section class="panel kernelpanel" aria-label=${t("kernel")}><${Load} of=${request} from=${() => packed("/api/kernels", request)}>${({ header, data }) => {
      const at = { output: Math.min(channel, header.outputs - 1), input: Math.min(input, header.inputs - 1) };
      return html`<h3>${t("kernelOf", { output: at.output + 1, input: at.input + 1 })}</h3>
        ${header.inputs > 1 && html`<${Field} label=${t("inputOf", { n: header.inputs })} type="number" live min="1" max=${header.inputs} value=${at.input + 1} onchange=${this.choose} />`}
        <${Kernel} layer=${layer} at=${at} kernel=${kernelOf(header, data, at)} isEditable=${layer.edits.includes("kernel")} />
        ${header.bias && html`<p class="soft number">${t("biasIs", { bias: number(header.bias[at.output]) })}</p>`}`;
    }}<//></section>`;
  }
}

function kernelOf(header, data, { output, input }) {
  const n = header.rows * header.columns, from = (output * header.inputs + input) * n;
  return Array.from({ length: header.rows }, (_, y) => Array.from(data.subarray(from + y * header.columns, from + (y + 1) * header.columns)));
}

function Kernel({ layer, at, kernel, isEditable }) {
  const write = (values) => writeKernel(layer, at, values), flat = kernel.flat();
  const field = (y, x, value) => html`<${WeightField} key=${`${at.output}-${at.input}`} value=${value} label=${t("weightAt", { row: y + 1, column: x + 1 })} data-key=${`w-${y}-${x}`}
    onchange=${(typed) => write(kernel.map((row, v) => row.map((one, u) => (v === y && u === x ? typed : one))))} />`;
  const scale = scaleOf(Math.min(...flat, 0), Math.max(...flat, 0));
  return html`<${Cells} values=${kernel} scale=${scale} label=${t("kernel")} input=${isEditable ? field : undefined} />
    <${Legend} scale=${scale} unit=${t("model.unit.weight")} isHatched=${false} />
    ${isEditable && html`<p class="buttons"><${Button} data-key="zero" onclick=${() => write(kernel.map((row) => row.map(() => 0)))}>${t("kernelZero")}<//>
      <${Button} data-key="negate" onclick=${() => write(kernel.map((row) => row.map((value) => -value || 0)))}>${t("kernelNegate")}<//></p>`}`;
}

/** An edit of this kernel, in the place of the last one where that was of the same. */
function writeKernel(layer, { output, input }, values) {
  const edit = { kind: "kernel", layer: layer.name, output, input, values }, last = state.model_edits.at(-1);
  const isSame = last?.kind === "kernel" && last.layer === layer.name && last.output === output && last.input === input;
  set({ model_edits: [...(isSame ? state.model_edits.slice(0, -1) : state.model_edits), edit] });
}

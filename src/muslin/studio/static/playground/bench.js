// The bench: the image and what becomes of it, beside the controls, and the arithmetic of the value under the pointer.

import { FeatureMap } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { t } from "/static/texts.js";
import { Arithmetic } from "./bench_arithmetic.js";
import { Controls } from "./controls.js";
import { planesOf, POOL_PX, settingsOf, stagesOf } from "./stages.js";

const WIDTH_PX = 400, NARROW_PX = 260; // of a map: of one plane, and of three

export class Bench extends Component {
  state = { plane: 0, stage: "result", at: null };

  /** The stages of every plane; the same arrays as long as nothing changes. */
  stages(given, settings, colour) {
    const key = JSON.stringify([settings, colour]);
    if (this.made?.given !== given || this.made.key !== key) this.made = { given, key, planes: planesOf(given, colour).map((plane) => stagesOf(given, plane, settings)) };
    return this.made.planes;
  }

  /** Where in the result a pointed value comes from or leads to: the first of several. */
  static resultAt({ kernel, stride, padding }, stage, y, x, result) {
    if (stage === "pooled") return [y * POOL_PX, x * POOL_PX];
    if (stage !== "image") return [y, x];
    const along = (pixel, n) => Math.min(Math.max(Math.round((pixel + padding - (kernel.length - 1) / 2) / stride), 0), n - 1); // the window with this pixel nearest to its centre
    return [along(y, result.rows), along(x, result.columns)];
  }

  render({ about, given, state: address }, { plane, stage, at }) {
    const settings = settingsOf(address), planes = this.stages(given, settings, address.colour), isTooLarge = planes[0].length < 2;
    const names = planes.length === 3 ? [t("red"), t("green"), t("blue")] : [t("gray")];
    const chosen = planes[Math.min(plane, planes.length - 1)], result = chosen[1];
    const isThere = chosen.some((one) => one.name === stage);
    const spot = result && { stage: isThere ? stage : "result", at: [Math.min(at?.[0] ?? Math.floor(result.rows / 2), result.rows - 1), Math.min(at?.[1] ?? Math.floor(result.columns / 2), result.columns - 1)] };
    return html`<p class="error" role="alert">${isTooLarge ? t("kernelTooLarge") : given.error || ""}</p>
      <div class="playground"><${Controls} about=${about} given=${given} settings=${settings} />
        <div>${!isTooLarge && html`<div class="stage">${planes.map((stages, c) => html`<div class="pairview" key=${c}>${stages.map((one) => html`<${Stage} key=${`${one.name}${c}`} one=${one} title=${planes.length === 3 && one.name === "image" ? names[c] : t(TITLES[one.name])} label=${`${t(TITLES[one.name])}, ${names[c]}`}
              width=${planes.length === 1 ? WIDTH_PX : NARROW_PX} settings=${settings} spot=${spot} point=${(y, x) => this.setState({ plane: c, stage: one.name, at: Bench.resultAt(settings, one.name, y, x, stages[1]) })} />`)}</div>`)}</div>
          <${Arithmetic} given=${given} stages=${chosen} settings=${settings} spot=${spot} />`}</div></div>`;
  }
}

const TITLES = { image: "image", result: "result", relu: "playground.relu", pooled: "playground.pooled" };

/** One stage as a map: the chosen value is marked, and the window that it comes from framed. */
function Stage({ one, title, label, width, settings: { kernel, stride, padding }, spot, point }) {
  const [y, x] = spot.at, isPooled = spot.stage === "pooled", size = kernel.length + (isPooled ? (POOL_PX - 1) * stride : 0);
  const windows = {
    image: { top: y * stride - padding, left: x * stride - padding, rows: size, columns: size },
    result: isPooled && { top: y, left: x, rows: POOL_PX, columns: POOL_PX }, relu: isPooled && { top: y, left: x, rows: POOL_PX, columns: POOL_PX },
  };
  const at = one.name === "pooled" ? [Math.min(Math.floor(y / POOL_PX), one.rows - 1), Math.min(Math.floor(x / POOL_PX), one.columns - 1)] : spot.at;
  return html`<section><h2>${title}</h2><${FeatureMap} values=${one.values} rows=${one.rows} columns=${one.columns} scale=${one.scale} unit=${t(one.name === "image" ? "model.unit.pixel" : "model.unit.activation")} width=${width} isExact
    name=${one.name} label=${label} at=${one.name === "image" ? null : at} window=${windows[one.name] || null} point=${point} /></section>`;
}

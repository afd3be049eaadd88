// The attribution of a class, or of one class versus another: which parts of the image speak for it and which against
// it; and the sanity checks of that map.

import { askOnce, packed } from "/static/api.js";
import { curves } from "/static/chart.js";
import { scaleOf } from "/static/colour.js";
import { button, h, errorText, select, show } from "/static/dom.js";
import { mapView } from "/static/feature_maps.js";
import { set, state, inspection } from "/static/state.js";
import { messageText, number, percent, signed, t } from "/static/texts.js";

export async function tab(model) {
  const controls = h("div", { class: "toolbar" }), place = h("div", {}), checks = h("section", { class: "checks", "aria-labelledby": "checks-title" });
  const element = h("div", {}, h("h2", {}, t("tab.attribution")), h("p", { class: "lead" }, t("attributionLead")), controls, place, checks);
  let turn = 0;

  const target = () => model.targets.find((one) => one.name === state.target) || model.targets[0];

  async function draw() {
    const requestId = ++turn;
    let result;
    try { result = await askOnce("/api/predict", { inspection: inspection() }); } catch (error) { show(place, errorText(error)); show(checks); return; }
    if (requestId !== turn) return;
    const chosen = target(), prediction = result.predictions[chosen.name];
    const order = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]).map(([name]) => name);
    const label = chosen.classes.includes(state.label) ? state.label : order[0];
    const versus = chosen.classes.includes(state.versus) && state.versus !== label ? state.versus : "";
    const body = { inspection: inspection(), target: chosen.name, class: label, versus: versus || null, layer: state.attributionLayer || null, tta_view: model.tta_flip ? "both" : state.tta_view };
    let found;
    try { found = await askOnce("/api/attribution", body); } catch (error) {
      if (requestId === turn) { drawControls(chosen, prediction, label, versus, []); show(place, errorText(error)); show(checks); }
      return;
    }
    if (requestId !== turn) return;
    drawControls(chosen, prediction, label, versus, found.layers || [], found.layer);
    await drawAttribution(found, label, versus, requestId);
    runChecks(body, found);
  }

  function drawControls(chosen, prediction, label, versus, layers, layer = "") {
    const focused = controls.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const words = (name) => `${name} (${percent(prediction.probabilities[name])})`;
    show(controls,
      model.targets.length > 1 && select(t("target"), model.targets.map((one) => [one.name, one.name]), chosen.name, (name) => set({ target: name, label: "", versus: "" }), { "data-key": "target" }),
      select(t("class"), chosen.classes.map((name) => [name, words(name)]), label, (name) => set({ label: name }), { "data-key": "class" }),
      chosen.classes.length > 1 && select(t("versus"), [["", t("noVersus")], ...chosen.classes.filter((name) => name !== label).map((name) => [name, words(name)])], versus, (name) => set({ versus: name }), { "data-key": "versus" }),
      layers.length > 1 && select(t("atLayer"), layers.map((name) => [name, name]), layer, (name) => set({ attributionLayer: name }), { "data-key": "layer" }));
    if (focused) controls.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
  }

  async function drawAttribution(found, label, versus, requestId) {
    const flat = Float32Array.from(found.cells.flat()), scale = scaleOf(-found.range, found.range);
    const title = versus ? t("attributionPair", { class: label, versus }) : t("attributionFor", { class: label });
    const map = mapView({ values: flat, rows: found.rows, columns: found.columns, scale, label: title, width: 380, exact: true, name: `attribution-${label}` });
    let under = null;
    try { under = await packed("/api/pixels", { inspection: inspection(), step: "model_input", max_px: 256 }); } catch { /* only the map is shown */ }
    if (requestId !== turn) return;
    show(place, h("div", { class: "attribution" },
      h("section", {}, h("h3", {}, title), map.element),
      h("section", {}, h("h3", {}, t("onImage")), overlay(found, under, scale), h("p", { class: "soft" }, t("enlarged", { rows: found.rows, columns: found.columns, layer: found.layer }))),
      h("section", { class: "panel sums" },
        h("p", { class: "stamp " + (found.is_exact ? "exact" : "approximate") }, found.is_exact ? t("exact") : t("approximate")),
        h("p", { class: "soft" }, messageText(found.reason)),
        h("dl", { class: "sum" },
          h("dt", {}, t("cellsSum")), h("dd", { class: "number" }, signed(flat.reduce((a, b) => a + b, 0), 6)),
          h("dt", {}, t("bias")), h("dd", { class: "number" }, signed(found.bias, 6)),
          h("dt", {}, versus ? t("scoreDifference") : t("scoreOf", { class: label })), h("dd", { class: "number strong" }, signed(found.score, 6))),
        h("p", { class: "soft" }, found.is_exact ? t("sumEqualsScore", { difference: number(Math.abs(found.difference), 2) }) : t("sumDiffers", { difference: number(Math.abs(found.difference), 3) })),
        !versus && h("p", { class: "soft" }, t("pairText")))));
  }

  function overlay(found, under, scale) {
    const box = h("div", { class: "overlay" });
    const rows = under?.header.rows || 1, columns = under?.header.columns || 1;
    const canvas = h("canvas", { width: columns, height: rows, role: "img", "aria-label": t("onImage") });
    if (under) {
      const context = canvas.getContext("2d"), image = context.createImageData(columns, rows), c = under.header.channels;
      for (let i = 0; i < rows * columns; i++) for (let k = 0; k < 3; k++) image.data[4 * i + k] = 120 + 0.5 * under.data[i * c + (c === 3 ? k : 0)];
      for (let i = 0; i < rows * columns; i++) image.data[4 * i + 3] = 255;
      context.putImageData(image, 0, 0);
    }
    const zoom = Math.max(1, Math.round(380 / found.columns)), heat = h("canvas", { width: found.columns * zoom, height: found.rows * zoom, "aria-hidden": "true" }), context = heat.getContext("2d");
    found.cells.forEach((row, y) => row.forEach((value, x) => {
      const strength = Math.min(1, Math.abs(value) / scale.high);
      if (strength < 0.06) return;
      context.globalAlpha = 0.85 * strength;
      context.fillStyle = value < 0 ? "rgb(33 102 172)" : "rgb(224 110 10)";
      context.fillRect(x * zoom, y * zoom, zoom, zoom);
      if (zoom >= 8 && strength > 0.25) {
        context.globalAlpha = 1;
        context.fillStyle = "#000";
        const bar = Math.min(zoom * 0.4, 12);
        context.fillRect(x * zoom + (zoom - bar) / 2, y * zoom + zoom / 2 - 1, bar, 2);
        if (value > 0) context.fillRect(x * zoom + zoom / 2 - 1, y * zoom + (zoom - bar) / 2, 2, bar);
      }
    }));
    box.append(canvas, heat);
    box.style.setProperty("aspect-ratio", `${columns} / ${rows}`);
    return box;
  }

  async function runChecks(body, found) {
    const title = h("h3", { id: "checks-title" }, t("checksTitle"));
    const run = button(t("checksRun"), () => set({ checks: true }), { class: "main" });
    if (!state.checks) { show(checks, title, h("p", {}, t("checksLead")), h("p", {}, run)); return; }
    show(checks, title, h("p", { class: "soft", role: "status" }, t("checksRunning")));
    const requestId = turn;
    let made;
    try { made = await askOnce("/api/sanity-checks", { inspection: body.inspection, target: body.target, class: body.class, versus: body.versus, layer: found.layer, seed: 0 }); } catch (error) { if (requestId === turn) show(checks, title, errorText(error)); return; }
    if (requestId !== turn) return;
    show(checks, title, h("p", {}, t("checksLead")), h("div", { class: "tests" },
      made.shuffled_weights && verdict(t("test.shuffledWeights"), Math.abs(made.shuffled_weights.mean) < 0.3, t("correlation", { value: number(made.shuffled_weights.mean, 2) }), t("shuffledWeightsText", { value: number(made.shuffled_weights.mean, 2), n: made.shuffled_weights.correlations.length, low: number(made.shuffled_weights.interval[0], 2), high: number(made.shuffled_weights.interval[1], 2) })),
      made.other_class && verdict(t("test.otherClass"), made.other_class.correlation < 0.5, t("correlation", { value: number(made.other_class.correlation, 2) }), t("otherClassText", { class: made.other_class.class, value: number(made.other_class.correlation, 2) })),
      made.deletion && curve("deletion", made.deletion, -1), made.insertion && curve("insertion", made.insertion, 1)));
  }

  function verdict(words, passed, figure, text) {
    return h("section", { class: "test" }, h("h4", {}, words), h("p", { class: "verdict " + (passed ? "passed" : "failed") }, h("span", { "aria-hidden": "true" }, passed ? "✓ " : "! "), passed ? t("passed") : t("failed")), h("p", { class: "number big" }, figure), h("p", { class: "soft" }, text));
  }

  function curve(name, made, direction) {
    const passed = direction * made.auc.difference > 0;
    const auc = made.auc.interval ? t("aucInterval", { low: number(made.auc.interval[0], 2), high: number(made.auc.interval[1], 2) }) : "";
    return h("section", { class: "test" }, h("h4", {}, t(`test.${name}`)),
      h("p", { class: "verdict " + (passed ? "passed" : "failed") }, h("span", { "aria-hidden": "true" }, passed ? "✓ " : "! "), passed ? t("passed") : t("failed")),
      curves({ title: t(`${name}Title`), x: made.fraction, name, xWords: t(`${name}X`), band: made.random_low ? { low: made.random_low, high: made.random_high } : null,
        lines: [{ words: t("byAttribution"), values: made.attribution }, { words: t("byRandom"), values: made.random, dash: true }] }),
      h("p", { class: "soft" }, t("aucText", { attribution: number(made.auc.attribution, 3), random: number(made.auc.random, 3) }), " ", auc));
  }

  draw();
  return {
    element,
    update(before, changed) {
      if (changed || ["target", "label", "versus", "attributionLayer", "checks", "tta_view"].some((name) => state[name] !== before[name])) draw();
    },
  };
}


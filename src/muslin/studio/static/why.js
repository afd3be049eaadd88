// Which parts of the image speak for a class, or for one class rather than another; and whether that map is to be
// trusted.

import { askOnce, packed } from "/static/api.js";
import { curves } from "/static/chart.js";
import { scaleOf } from "/static/colour.js";
import { button, h, problem, select, show } from "/static/dom.js";
import { mapView } from "/static/maps.js";
import { set, state, view } from "/static/state.js";
import { number, percent, signed, t } from "/static/texts.js";

export async function tab(model) {
  const controls = h("div", { class: "toolbar" }), place = h("div", {}), trust = h("section", { class: "trust", "aria-labelledby": "trust-title" });
  const element = h("div", {}, h("h2", {}, t("tab.why")), h("p", { class: "lead" }, t("whyLead")), controls, place, trust);
  let turn = 0;

  const target = () => model.targets.find((one) => one.name === state.target) || model.targets[0];

  async function draw() {
    const mine = ++turn;
    let look;
    try { look = await askOnce("/api/look", { view: view() }); } catch (error) { show(place, problem(error)); show(trust); return; }
    if (mine !== turn) return;
    const asked = target(), answer = look.predictions[asked.name];
    const order = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]).map(([name]) => name);
    const cls = asked.classes.includes(state.cls) ? state.cls : order[0];
    const versus = asked.classes.includes(state.versus) && state.versus !== cls ? state.versus : "";
    const body = { view: view(), target: asked.name, class: cls, versus: versus || null, layer: state.source || null, tta_view: model.tta_flip ? "both" : state.tta_view };
    let found;
    try { found = await askOnce("/api/attribution", body); } catch (error) {
      if (mine === turn) { dials(asked, answer, cls, versus, []); show(place, problem(error)); show(trust); }
      return;
    }
    if (mine !== turn) return;
    dials(asked, answer, cls, versus, found.layers || [], found.layer);
    await evidence(found, cls, versus, mine);
    trustTests(body, found);
  }

  function dials(asked, answer, cls, versus, layers, layer = "") {
    const had = controls.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const words = (name) => `${name} (${percent(answer.probabilities[name])})`;
    show(controls,
      model.targets.length > 1 && select(t("target"), model.targets.map((one) => [one.name, one.name]), asked.name, (name) => set({ target: name, cls: "", versus: "" }), { "data-key": "target" }),
      select(t("class"), asked.classes.map((name) => [name, words(name)]), cls, (name) => set({ cls: name }), { "data-key": "class" }),
      asked.classes.length > 1 && select(t("ratherThan"), [["", t("noOther")], ...asked.classes.filter((name) => name !== cls).map((name) => [name, words(name)])], versus, (name) => set({ versus: name }), { "data-key": "versus" }),
      layers.length > 1 && select(t("atLayer"), layers.map((name) => [name, name]), layer, (name) => set({ source: name }), { "data-key": "layer" }));
    if (had) controls.querySelector(`[data-key="${had}"]`)?.focus({ preventScroll: true });
  }

  async function evidence(found, cls, versus, mine) {
    const flat = Float32Array.from(found.cells.flat()), scale = scaleOf(-found.range, found.range);
    const label = versus ? t("evidencePair", { class: cls, versus }) : t("evidenceFor", { class: cls });
    const map = mapView({ values: flat, rows: found.rows, columns: found.columns, scale, label, width: 380, exact: true, name: `evidence-${cls}` });
    let under = null;
    try { under = await packed("/api/pixels", { view: view(), step: "taken", at_most: 256 }); } catch { /* the map alone has to do */ }
    if (mine !== turn) return;
    show(place, h("div", { class: "evidence" },
      h("section", {}, h("h3", {}, label), map.element),
      h("section", {}, h("h3", {}, t("onImage")), overlay(found, under, scale), h("p", { class: "soft" }, t("enlarged", { rows: found.rows, columns: found.columns, layer: found.layer }))),
      h("section", { class: "panel sums" },
        h("p", { class: "stamp " + (found.exact ? "exact" : "approximate") }, found.exact ? t("exact") : t("approximate")),
        h("p", { class: "soft" }, found.reason),
        h("dl", { class: "sum" },
          h("dt", {}, t("cellsSum")), h("dd", { class: "number" }, signed(flat.reduce((a, b) => a + b, 0), 6)),
          h("dt", {}, t("bias")), h("dd", { class: "number" }, signed(found.bias, 6)),
          h("dt", {}, versus ? t("scoreDifference") : t("scoreOf", { class: cls })), h("dd", { class: "number strong" }, signed(found.score, 6))),
        h("p", { class: "soft" }, found.exact ? t("addsUp", { difference: number(Math.abs(found.difference), 2) }) : t("doesNotAddUp", { difference: number(Math.abs(found.difference), 3) })),
        !versus && h("p", { class: "soft" }, t("pairIsSafer")))));
  }

  function overlay(found, under, scale) {
    const box = h("div", { class: "overlay" });
    const rows = under?.header.rows || 1, columns = under?.header.columns || 1;
    const image = h("canvas", { width: columns, height: rows, role: "img", "aria-label": t("onImage") });
    if (under) {
      const context = image.getContext("2d"), image = context.createImageData(columns, rows), c = under.header.channels;
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
    box.append(image, heat);
    box.style.setProperty("aspect-ratio", `${columns} / ${rows}`);
    return box;
  }

  async function trustTests(body, found) {
    const title = h("h3", { id: "trust-title" }, t("trustTitle"));
    const run = button(t("trustRun"), () => set({ trust: true }), { class: "main" });
    if (!state.trust) { show(trust, title, h("p", {}, t("trustLead")), h("p", {}, run)); return; }
    show(trust, title, h("p", { class: "soft", role: "status" }, t("trustRunning")));
    const mine = turn;
    let made;
    try { made = await askOnce("/api/sanity_checks", { view: body.view, target: body.target, class: body.class, versus: body.versus, layer: found.layer, seed: 0 }); } catch (error) { if (mine === turn) show(trust, title, problem(error)); return; }
    if (mine !== turn) return;
    show(trust, title, h("p", {}, t("trustLead")), h("div", { class: "tests" },
      made.shuffled && verdict(t("test.shuffled"), Math.abs(made.shuffled.mean) < 0.3, t("correlation", { value: number(made.shuffled.mean, 2) }), t("shuffledText", { value: number(made.shuffled.mean, 2), n: made.shuffled.correlations.length, low: number(made.shuffled.interval[0], 2), high: number(made.shuffled.interval[1], 2) })),
      made.other_class && verdict(t("test.otherClass"), made.other_class.correlation < 0.5, t("correlation", { value: number(made.other_class.correlation, 2) }), t("otherClassText", { class: made.other_class.class, value: number(made.other_class.correlation, 2) })),
      made.deletion && curve("deletion", made.deletion, -1), made.insertion && curve("insertion", made.insertion, 1)));
  }

  function verdict(words, passed, figure, text) {
    return h("section", { class: "test" }, h("h4", {}, words), h("p", { class: "verdict " + (passed ? "passed" : "doubt") }, h("span", { "aria-hidden": "true" }, passed ? "✓ " : "! "), passed ? t("passed") : t("doubt")), h("p", { class: "number big" }, figure), h("p", { class: "soft" }, text));
  }

  function curve(name, made, direction) {
    const passed = direction * made.area.difference > 0;
    const area = made.area.interval ? t("areaInterval", { low: number(made.area.interval[0], 2), high: number(made.area.interval[1], 2) }) : "";
    return h("section", { class: "test" }, h("h4", {}, t(`test.${name}`)),
      h("p", { class: "verdict " + (passed ? "passed" : "doubt") }, h("span", { "aria-hidden": "true" }, passed ? "✓ " : "! "), passed ? t("passed") : t("doubt")),
      curves({ title: t(`${name}Title`), x: made.fraction, name, xWords: t(`${name}X`), band: made.random_low ? { low: made.random_low, high: made.random_high } : null,
        lines: [{ words: t("byEvidence"), values: made.attribution }, { words: t("byRandom"), values: made.random, dash: true }] }),
      h("p", { class: "soft" }, t("areaText", { evidence: number(made.area.attribution, 3), random: number(made.area.random, 3) }), " ", area));
  }

  draw();
  return {
    element,
    update(before, changed) {
      if (changed || ["target", "cls", "versus", "source", "trust", "tta_view"].some((name) => state[name] !== before[name])) draw();
    },
  };
}


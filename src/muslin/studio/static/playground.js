// The kernel playground: one kernel slides over one image, and every weight of it can be edited. Computed in the page.

import { ask, get, packed } from "/static/api.js";
import { scaleOf } from "/static/colour.js";
import { announce, button, choice, h, select, show } from "/static/dom.js";
import { convolve, fitted, KERNELS, pixelAt, positionsAlong, testImage } from "/static/kernels.js";
import { cells, mapView } from "/static/feature_maps.js";
import { chooseImage, thumbnail } from "/static/image.js";
import { adopt, set, state } from "/static/state.js";
import { count, number, t } from "/static/texts.js";

const SIZES = [1, 2, 3, 4, 5, 7];
const MAX_PX = 160; // longest side of the image, so that every pixel stays visible
const PIXELS = { low: 0, high: 255 };

/** {rows, columns, planes: [values, …], name}: gray, or red, green and blue. */
async function image() {
  if (!state.model) {
    const side = 48;
    return { rows: side, columns: side, planes: [testImage(side)] };
  }
  const { header, data } = await packed("/api/pixels", { inspection: { model: state.model, image: state.image }, step: "upright", max_px: MAX_PX });
  const { rows, columns, channels } = header;
  const planes = Array.from({ length: channels }, (_, c) => Float32Array.from({ length: rows * columns }, (_, i) => data[i * channels + c]));
  return { rows, columns, planes };
}

const gray = ({ planes }) => planes.length === 1 ? planes[0]
  : planes[0].map((red, i) => Math.round(0.299 * red + 0.587 * planes[1][i] + 0.114 * planes[2][i])); // ITU-R BT.601

export async function page() {
  let models = [];
  try { models = (await get("/api/models")).models; } catch { /* the playground needs none */ }
  if (!state.model && models.length) adopt({ model: models[0].path, image: "golden:0" });
  if (state.model && !state.image) adopt({ image: "golden:0" }); // the header's link names only the model
  let about = null;
  if (state.model) {
    try { about = await ask("/api/model", { model: state.model }); } catch { adopt({ model: "", image: "" }); }
  }
  return build(about, await imageOrTest());
}

async function imageOrTest() {
  try { return await image(); } catch (error) { return { rows: 48, columns: 48, planes: [testImage(48)], error: error.message }; }
}

function kernelNow() {
  const rows = state.kernel;
  const sound = Array.isArray(rows) && SIZES.includes(rows.length) && rows.every((row) => Array.isArray(row) && row.length === rows.length && row.every(Number.isFinite));
  return sound ? rows : KERNELS.sobelX;
}

function nameOf(kernel) {
  const found = Object.entries(KERNELS).find(([, rows]) => JSON.stringify(fitted(rows, kernel.length)) === JSON.stringify(kernel));
  return found && kernel.length >= 3 ? found[0] : "custom";
}

function build(about, first) {
  let given = first, views = [], at = [0, 0], channel = 0;
  const controls = h("div", { class: "controls" });
  const stage = h("div", { class: "stage" });
  const sum = h("section", { class: "panel arithmetic", "aria-label": t("arithmetic") });
  const grid = h("div", { class: "kernelgrid" });
  const trouble = h("p", { class: "error", role: "alert" }, given.error || "");
  const preset = h("div", {});

  const planes = () => state.colour === "channels" && given.planes.length === 3 ? given.planes : [gray(given)];
  const settings = () => [kernelNow(), clamp(state.stride, 1, 4), clamp(state.padding, 0, 6), state.border];

  function drawControls() {
    const kernel = kernelNow();
    show(controls,
      h("section", { class: "panel" }, h("h2", {}, t("image")),
        h("div", { class: "chosen" },
          state.model ? h("img", { src: thumbnail(state.model, state.image, 128), alt: t("imageChosen"), width: 72, height: 72, class: about && about.input[0] <= 64 ? "small" : "" }) : null,
          about ? button(t("changeImage"), () => chooseImage({ ...about, path: state.model })) : h("p", { class: "soft" }, t("testImage"))),
        given.planes.length === 3 && choice(t("channels"), "colour", [["gray", t("gray")], ["channels", t("perChannel")]], state.colour, (colour) => { set({ colour }); channel = 0; redraw(); }),
        h("p", { class: "soft number" }, `${given.columns} × ${given.rows}`)),
      h("section", { class: "panel" }, h("h2", {}, t("kernel")), preset, grid,
        h("div", { class: "fieldrow" },
          select(t("size"), SIZES.map((n) => [n, `${n} × ${n}`]), kernel.length, (n) => change({ kernel: fitted(kernelNow(), Number(n)) })),
          number_(t("stride"), "stride", 1, 4), number_(t("padding"), "padding", 0, 6),
          select(t("border"), [["zero", t("border.zero")], ["edge", t("border.edge")]], state.border, (border) => change({ border }))),
        h("p", { class: "soft number", id: "places" })));
    presets();
    fields();
  }

  function number_(words, name, low, high) {
    return h("label", { class: "field" }, h("span", {}, words), h("input", {
      type: "number", min: low, max: high, value: clamp(state[name], low, high), oninput: (event) => {
        const value = Number(event.target.value);
        if (Number.isInteger(value) && value >= low && value <= high) change({ [name]: value });
      },
    }));
  }

  function presets() {
    const learned = about?.layers.filter((one) => one.kernel && one.kernel.size[0] === one.kernel.size[1] && one.kernel.size[0] > 1 && SIZES.includes(one.kernel.size[0])) || [];
    const now = nameOf(kernelNow());
    show(preset, h("div", { class: "fieldrow" },
      select(t("namedKernels"), [...Object.keys(KERNELS).map((name) => [name, t(`kernel.${name}`)]), ["custom", t("kernel.custom")]], now,
        (name) => { if (name !== "custom") { change({ kernel: fitted(KERNELS[name], Math.max(3, kernelNow().length)) }); fields(); } }),
      learned.length > 0 && select(t("learnedKernels"), [["", t("chooseLayer")], ...learned.map(({ name }) => [name, name])], state.layer, (name) => { set({ layer: name }); learnedOnes(); })),
    h("div", { id: "learned" }));
    if (state.layer && learned.length) learnedOnes();
  }

  async function learnedOnes() {
    const place = preset.querySelector("#learned");
    if (!state.layer) { show(place); return; }
    try {
      const { header, data } = await packed("/api/kernels", { inspection: { model: state.model, image: state.image }, layer: state.layer });
      const size = header.rows, n = size * size;
      const pick = (k, c) => {
        const from = (k * header.inputs + c) * n;
        change({ kernel: Array.from({ length: size }, (_, y) => Array.from(data.subarray(from + y * size, from + (y + 1) * size), (value) => Number(value.toFixed(4)))) });
        fields();
      };
      let k = 0, c = 0;
      const spin = (words, max, act) => h("label", { class: "field" }, h("span", {}, words), h("input", { type: "number", min: 1, max, value: 1, oninput: (event) => { const value = Number(event.target.value); if (value >= 1 && value <= max) act(value - 1); } }));
      show(place, h("div", { class: "fieldrow" },
        spin(t("outputOf", { n: header.outputs }), header.outputs, (value) => { k = value; pick(k, c); }),
        spin(t("inputOf", { n: header.inputs }), header.inputs, (value) => { c = value; pick(k, c); }),
        button(t("useKernel"), () => pick(k, c))));
    } catch (error) { show(place, h("p", { class: "error" }, error.message)); }
  }

  function fields() {
    const kernel = kernelNow();
    show(grid, cells(kernel, {
      label: t("kernel"), input: (y, x, value) => h("input", {
        type: "number", step: "any", value: Number(value.toFixed(4)), "aria-label": t("weightAt", { row: y + 1, column: x + 1 }),
        oninput: (event) => {
          const typed = Number(event.target.value);
          if (event.target.value.trim() === "" || !Number.isFinite(typed)) return;
          const next = kernelNow().map((row) => [...row]);
          next[y][x] = typed;
          change({ kernel: next });
        },
        onchange: fields,
      }),
    }), h("p", { class: "soft number" }, t("kernelSum", { sum: number(kernel.flat().reduce((a, b) => a + b, 0)) }),
      " ", button(t("negateKernel"), () => { change({ kernel: kernelNow().map((row) => row.map((value) => -value || 0)) }); fields(); }, { class: "quiet" })));
  }

  function change(what) {
    set(what);
    const named = preset.querySelector("select");
    if (named && what.kernel) named.value = nameOf(kernelNow());
    redraw();
  }

  function redraw() {
    const [kernel, stride, padding, border] = settings();
    const inputs = planes();
    const made = inputs.map((values) => convolve(values, given.rows, given.columns, kernel, stride, padding, border));
    const places = controls.querySelector("#places");
    if (places) places.textContent = t("outputSize", { n: given.columns, k: kernel.length, p: padding, s: stride, out: positionsAlong(given.columns, kernel.length, stride, padding) });
    if (!made[0].rows) {
      trouble.textContent = t("kernelTooLarge");
      show(stage);
      show(sum);
      views = [];
      return;
    }
    if (!given.error) trouble.textContent = "";
    const names = inputs.length === 3 ? [t("red"), t("green"), t("blue")] : [t("gray")];
    const fits = views.length === inputs.length && views[0].key === JSON.stringify([made[0].rows, made[0].columns, given.rows, given.columns]) && views[0].given === given;
    if (!fits) {
      views = [];
      show(stage, inputs.map((values, c) => {
        const width = inputs.length === 1 ? 400 : 260;
        const input = mapView({
          values, rows: given.rows, columns: given.columns, scale: scaleOf(0, 255, true), width, exact: true,
          label: `${t("image")}, ${names[c]}`, name: "image", point: (y, x) => over(c, place(y, given.rows, made[c].rows), place(x, given.columns, made[c].columns), "input"),
        });
        const output = mapView({
          values: made[c].values, rows: made[c].rows, columns: made[c].columns, scale: rangeOf(made[c].values), width, exact: true,
          label: `${t("result")}, ${names[c]}`, name: "result", point: (y, x) => over(c, y, x, "output"),
        });
        views.push({ input, output, key: JSON.stringify([made[0].rows, made[0].columns, given.rows, given.columns]), given });
        return h("div", { class: "pairview" },
          h("section", {}, h("h2", {}, inputs.length === 3 ? names[c] : t("image")), input.element),
          h("section", {}, h("h2", {}, t("result")), output.element));
      }));
      at = [Math.floor(made[0].rows / 2), Math.floor(made[0].columns / 2)];
    }
    made.forEach((result, c) => {
      views[c].made = result;
      views[c].values = inputs[c];
      if (fits) views[c].output.update(result.values, rangeOf(result.values));
    });
    over(channel, Math.min(at[0], made[0].rows - 1), Math.min(at[1], made[0].columns - 1), "");
  }

  /** The position whose window has this pixel nearest to its centre. */
  function place(pixel, n, places) {
    const [kernel, stride, padding] = settings();
    return Math.min(Math.max(Math.round((pixel + padding - (kernel.length - 1) / 2) / stride), 0), places - 1);
  }

  function over(c, y, x, from) {
    [channel, at] = [c, [y, x]];
    const [kernel, stride, padding, border] = settings();
    const one = views[c], size = kernel.length, top = y * stride - padding, left = x * stride - padding;
    one.input.frame({ top, left, rows: size, columns: size });
    if (from !== "output") one.output.goTo(y, x);
    const outside = (v, u) => top + v < 0 || left + u < 0 || top + v >= given.rows || left + u >= given.columns;
    const window_ = kernel.map((row, v) => row.map((_, u) => (outside(v, u) && border === "zero" ? null : pixelAt(one.values, given.rows, given.columns, top + v, left + u, border))));
    const products = kernel.map((row, v) => row.map((weight, u) => (window_[v][u] ?? 0) * weight));
    const total = one.made.values[y * one.made.columns + x];
    show(sum,
      h("h2", {}, t("arithmeticAt", { row: y + 1, column: x + 1 })),
      h("div", { class: "products" },
        h("div", {}, h("h3", {}, t("window")), cells(window_, { scale: scaleOf(PIXELS.low, PIXELS.high, true), label: t("window") })),
        h("span", { class: "sign", "aria-hidden": "true" }, "×"),
        h("div", {}, h("h3", {}, t("kernel")), cells(kernel, { label: t("kernel") })),
        h("span", { class: "sign", "aria-hidden": "true" }, "="),
        h("div", {}, h("h3", {}, t("products")), cells(products, { label: t("products") })),
        h("span", { class: "sign", "aria-hidden": "true" }, "→"),
        h("div", { class: "total" }, h("h3", {}, t("sum")), h("p", { class: "big number" }, number(total, 5)), h("p", { class: "soft" }, t("ofProducts", { n: count(size * size) })))));
  }

  const element = h("div", { class: "page wide" },
    h("h1", {}, t("playgroundTitle")), h("p", { class: "lead" }, t("playgroundLead")), trouble,
    h("div", { class: "playground" }, controls, h("div", {}, stage, sum)));
  drawControls();
  redraw();
  return {
    element,
    async update(before) {
      if (state.image === before.image && state.model === before.model) {
        if (JSON.stringify(state.kernel) !== JSON.stringify(before.kernel) && !element.contains(document.activeElement)) { fields(); redraw(); }
        return;
      }
      given = await imageOrTest();
      trouble.textContent = given.error || "";
      drawControls();
      redraw();
      announce(t("imageUploaded"));
    },
  };
}

const clamp = (value, low, high) => Math.min(Math.max(Math.round(value) || low, low), high);
function rangeOf(values) {
  let low = 0, high = 0;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  return scaleOf(low, low < 0 ? high : Math.max(high, 255), true);
}

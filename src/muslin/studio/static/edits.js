// Edits: rotate, translate or blur the image, and edit the network. Every edit is in a list and can be undone.

import { ask, packed } from "/static/api.js";
import { button, h, debounce, errorText, show } from "/static/dom.js";
import { paint } from "/static/feature_maps.js";
import { scaleOf } from "/static/colour.js";
import { set, state, inspection } from "/static/state.js";
import { count, number, percent, t, tOr } from "/static/texts.js";

const IMAGE_EDITS = [ // name, low, high, step, neutral value
  ["rotate", -180, 180, 1, 0], ["translate_x", -10, 10, 1, 0], ["translate_y", -10, 10, 1, 0],
  ["blur", 0, 4, 0.1, 0], ["brightness", -1, 1, 0.05, 0], ["contrast", 0, 3, 0.05, 1],
];

export async function tab(model) {
  const modelInput = h("canvas", { class: "modelinput", role: "img", "aria-label": t("modelInput") });
  const imageControls = h("div", { class: "sliders" });
  const edits = h("div", {});
  const accuracy = h("div", { "aria-live": "polite" });
  let place = 0;
  const element = h("div", {}, h("h2", {}, t("tab.edits")), h("p", { class: "lead" }, t("editsLead")),
    h("div", { class: "editor" },
      h("section", { class: "panel" }, h("h3", {}, t("editImage")), h("div", { class: "beside" }, modelInput, imageControls)),
      h("section", { class: "panel" }, h("h3", {}, t("editNetwork")), edits, accuracy)));

  const change = debounce((name, value, neutral) => {
    const image_edits = { ...state.image_edits };
    if (value === neutral) delete image_edits[name];
    else image_edits[name] = value;
    set({ image_edits });
  }, 30);

  function build() {
    const maxShift = Math.max(10, Math.round(Math.max(...model.input.slice(0, 2)) / 3));
    show(imageControls, IMAGE_EDITS.map(([name, low, high, step, neutral]) => {
      const limit = name.startsWith("translate") ? maxShift : null, value = state.image_edits[name] ?? neutral;
      const output = h("output", { class: "number" }, number(value, 3));
      return h("label", { class: "slider" }, h("span", {}, t(`imageEdit.${name}`)), h("input", {
        type: "range", min: limit ? -limit : low, max: limit || high, step, value, data: { edit: name },
        oninput: (event) => { output.textContent = number(Number(event.target.value), 3); change(name, Number(event.target.value), neutral); },
      }), output);
    }),
    h("label", { class: "switch" }, h("input", { type: "checkbox", checked: Boolean(state.image_edits.invert), data: { edit: "invert" }, onchange: (event) => change("invert", event.target.checked, false) }), h("span", {}, t("imageEdit.invert"))),
    h("p", {}, button(t("resetImage"), () => { set({ image_edits: {} }); build(); })));
  }

  async function image() {
    const requestId = ++place;
    let found;
    try { found = await packed("/api/pixels", { inspection: inspection(), step: "model_input", max_px: 256 }); } catch { return; }
    if (requestId !== place) return;
    const { rows, columns, channels } = found.header;
    if (channels === 1) { paint(modelInput, found.data, rows, columns, scaleOf(0, 255, true)); return; }
    modelInput.width = columns;
    modelInput.height = rows;
    const context = modelInput.getContext("2d"), image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) image.data.set([found.data[3 * i], found.data[3 * i + 1], found.data[3 * i + 2], 255], 4 * i);
    context.putImageData(image, 0, 0);
  }

  function words(edit) {
    return t(`edit.${edit.kind}`, { layer: edit.layer, channel: (edit.channel ?? 0) + 1, output: (edit.output ?? 0) + 1, input: (edit.input ?? 0) + 1, value: number(edit.value), how: edit.how ? tOr(`pooling.${edit.how}`, edit.how) : "" });
  }

  function list() {
    const focused = edits.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const able = model.layers.filter((layer) => layer.edits.length);
    show(edits,
      state.model_edits.length
        ? h("ol", { class: "edits" }, state.model_edits.map((edit, n) => h("li", {}, h("span", {}, words(edit)), " ", button(t("undoEdit"), () => set({ model_edits: state.model_edits.filter((_, k) => k !== n) }), { class: "quiet", "aria-label": `${t("undoEdit")}: ${words(edit)}`, data: { key: `back-${n}` } }))))
        : h("p", { class: "soft" }, t("noEdits")),
      h("p", { class: "buttons" },
        button(t("undoLast"), () => set({ model_edits: state.model_edits.slice(0, -1) }), { disabled: !state.model_edits.length, data: { key: "undo" } }),
        button(t("reset"), () => set({ model_edits: [] }), { disabled: !state.model_edits.length, data: { key: "reset" } })),
      able.length > 0 && h("details", { open: !state.model_edits.length }, h("summary", {}, t("layersToEdit")), h("ul", { class: "editable" }, able.map((layer) => h("li", {},
        button(layer.name, () => set({ tab: "network", layer: layer.name, channel: 0, at: [] }, true), { class: "quiet link" }), " ", h("span", { class: "soft" }, layer.edits.map((kind) => t(`editKind.${kind}`)).join(", ")))))));
    if (focused) (edits.querySelector(`[data-key="${focused}"]:not(:disabled)`) || edits.querySelector("button"))?.focus({ preventScroll: true });
  }

  function askAccuracy() {
    if (!state.model_edits.length) { show(accuracy); return; }
    show(accuracy, h("h4", {}, t("accuracyTitle")), h("p", { class: "soft" }, t("accuracyLead")),
      h("p", { class: "buttons" }, button(t("accuracyData"), () => measure("data")), button(t("accuracyGolden"), () => measure("golden"))));
  }

  async function measure(on) {
    show(accuracy, h("p", { class: "soft" }, t("measuring")));
    try {
      const made = await ask("/api/accuracy", { inspection: inspection(), on, count: 500 });
      const row = (name, one) => h("tr", {}, h("th", { scope: "row" }, t(name)), h("td", { class: "number" }, `${count(one.correct)} / ${count(made.n)}`), h("td", { class: "number" }, percent(one.accuracy)), h("td", { class: "number soft" }, one.interval ? `${percent(one.interval[0])} – ${percent(one.interval[1])}` : ""));
      askAccuracy();
      accuracy.append(h("table", {}, h("caption", {}, t("accuracyOn", { n: count(made.n), what: t(`on.${made.part}`) })),
        h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "visuallyhidden" }, t("network"))), ["correct", "accuracy", "interval"].map((name) => h("th", { scope: "col" }, t(`column.${name}`))))),
        h("tbody", {}, row("beforeEdits", made.before), row("afterEdits", made.after))), h("p", { class: "soft" }, t("predictionsChanged", { n: count(made.changed) })));
      if (made.seen_images?.train) accuracy.append(h("p", { class: "soft" }, t("trainedOnSome", { n: count(made.seen_images.train), of: count(made.seen_images.n) })));
    } catch (error) {
      askAccuracy();
      accuracy.append(errorText(error));
    }
  }

  build();
  list();
  askAccuracy();
  image();
  return {
    element,
    update(before, changed) {
      if (!changed) return;
      if (JSON.stringify(state.image_edits) !== JSON.stringify(before.image_edits) && !imageControls.contains(document.activeElement)) build();
      if (JSON.stringify(state.model_edits) !== JSON.stringify(before.model_edits)) { list(); askAccuracy(); }
      image();
    },
  };
}


// One model and one image: the prediction at the side, and beside it one tab at a time.

import { askOnce } from "/static/api.js";
import { announce, button, h, errorText, show } from "/static/dom.js";
import { chooseImage, take, thumbnail } from "/static/image.js";
import { link, same, set, state, inspection } from "/static/state.js";
import { count, messageText, number, percent, short, signed, t } from "/static/texts.js";

const TABS = {
  preprocessing: () => import("/static/preprocessing.js"),
  network: () => import("/static/network.js"),
  attribution: () => import("/static/attribution.js"),
  edits: () => import("/static/edits.js"),
};
const MAX_CLASSES = 12; // bars beside the image

export async function page() {
  const model = await askOnce("/api/model", { model: state.model });
  if (!state.image) set({ image: "golden:0" });
  document.title = `${model.name} · muslin studio`;
  const side = h("aside", { class: "side", "aria-label": t("prediction") });
  const nav = h("nav", { class: "tabs", "aria-label": t("views") });
  const place = h("div", { class: "tab" });
  let tab = null, shown = "", turn = 0;

  const element = h("div", { class: "page wide" },
    h("div", { class: "modelhead" }, h("h1", {}, model.name),
      h("p", { class: "soft" }, [model.network, t("parametersCount", { n: short(model.parameters) }), t("multiplyAddsCount", { n: short(model.multiply_adds) }), t("inputSize", { size: `${model.input[1]} × ${model.input[0]}${model.input[2] === 3 ? " RGB" : ""}` })].filter(Boolean).join(" · ")),
      model.unsupported.length > 0 && h("details", { class: "note" }, h("summary", {}, t("unsupported")), h("ul", {}, model.unsupported.map((sentence) => h("li", {}, messageText(sentence)))))),
    h("div", { class: "workbench" }, side, h("div", { class: "stagearea" }, nav, place)));

  function tabs() {
    show(nav, h("ul", {}, Object.keys(TABS).map((name) => h("li", {},
      h("a", { href: link({ tab: name, layer: "", at: [], channel: 0 }), "aria-current": state.tab === name ? "page" : null }, t(`tab.${name}`))))));
  }

  async function openTab() {
    const name = TABS[state.tab] ? state.tab : "preprocessing", requestId = ++turn;
    tab?.close?.();
    tab = null;
    shown = name;
    tabs();
    show(place, h("p", { class: "soft" }, t("loading")));
    try {
      const made = await (await TABS[name]()).tab(model);
      if (requestId !== turn) return;
      tab = made;
      show(place, made.element);
    } catch (error) { if (requestId === turn) show(place, errorText(error)); }
  }

  const drop = async (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) await take(event.dataTransfer.files[0], (sentence) => { show(side, errorText(new Error(sentence))); });
  };
  const paste = async (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file && !document.querySelector("dialog[open]")) await take(file, (sentence) => show(side, errorText(new Error(sentence))));
  };
  const over = (event) => event.preventDefault();
  document.addEventListener("paste", paste);
  document.addEventListener("dragover", over);
  document.addEventListener("drop", drop);

  drawPrediction(side, model);
  openTab();
  return {
    element,
    update(before) {
      const previous = { model: before.model, image: before.image, steps: before.steps, image_edits: before.image_edits, model_edits: before.model_edits };
      const now = { model: state.model, image: state.image, steps: state.steps, image_edits: state.image_edits, model_edits: state.model_edits };
      const changed = !same(previous, now);
      if (changed || state.target !== before.target || state.label !== before.label) drawPrediction(side, model);
      if (state.tab !== shown) { openTab(); return; }
      tabs();
      tab?.update?.(before, changed);
    },
    close() {
      tab?.close?.();
      document.removeEventListener("paste", paste);
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", drop);
      document.title = "muslin studio";
    },
  };
}

let asking = 0;

/** The image and the prediction, with the prediction before the changes. */
async function drawPrediction(side, model) {
  const requestId = ++asking;
  if (!side.firstChild) show(side, h("p", { class: "soft" }, t("loading")));
  let result, trouble = null;
  try { result = await askOnce("/api/predict", { inspection: inspection() }); } catch (error) { trouble = error; }
  if (requestId !== asking) return;
  const focused = side.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const image = h("img", { src: thumbnail(state.model, state.image, 220), alt: t("imageChosen"), class: model.input[0] <= 64 && !state.image.startsWith("file:") ? "small" : "" });
  show(side,
    h("div", { class: "given" }, image,
      button(t("changeImage"), () => chooseImage(model), { class: "main", data: { key: "change" } })),
    trouble ? errorText(trouble) : model.targets.map((target) => bars(target, result.predictions[target.name], result.unchanged?.[target.name], model.targets.length > 1)),
    changesNote(result));
  if (focused) side.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  if (result && model.targets[0]) {
    const first = result.predictions[model.targets[0].name];
    announce(`${first.label} ${percent(first.probability)}`);
  }
}

function bars(target, found, before, named) {
  const order = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MAX_CLASSES);
  return h("section", { class: "prediction" },
    named && h("h3", {}, target.name),
    h("p", { class: "verdict" }, h("strong", {}, found.label), " ", h("span", { class: "number" }, percent(found.probability))),
    before && before.label !== found.label && h("p", { class: "soft" }, t("before", { label: before.label, percent: percent(before.probability) })),
    h("ul", { class: "bars" }, order.map(([name, p]) => {
      const was = before?.probabilities[name];
      return h("li", {}, h("a", {
        href: link({ tab: "attribution", target: target.name, label: name, layer: "", at: [] }), title: t("whyThis", { class: name }), data: { key: `bar-${target.name}-${name}` },
      }, h("span", { class: "name" }, name),
      h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * p}%` } }), was !== undefined && h("b", { style: { left: `${100 * was}%` } })),
      h("span", { class: "number" }, percent(p), was !== undefined && Math.abs(p - was) >= 0.0005 && h("small", {}, ` (${signed(100 * (p - was), 2)})`))));
    })),
    target.classes.length > MAX_CLASSES && h("p", { class: "soft" }, t("moreClasses", { n: count(target.classes.length - MAX_CLASSES) })));
}

function changesNote(result) {
  const n = state.model_edits.length + Object.keys(state.image_edits).length + Object.keys(state.steps).length;
  if (!n || !result) return null;
  return h("p", { class: "changed" }, t("changedNote", { n }), " ",
    button(t("resetAll"), () => set({ model_edits: [], image_edits: {}, steps: {} }, true), { class: "quiet", data: { key: "reset" } }));
}



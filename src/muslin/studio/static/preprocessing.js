// The preprocessing, step by step, from the file to the tensor. Optional steps have a switch with its effect.

import { askOnce } from "/static/api.js";
import { h, errorText, show } from "/static/dom.js";
import { legend } from "/static/feature_maps.js";
import { scaleOf } from "/static/colour.js";
import { set, state, inspection } from "/static/state.js";
import { messageText, signed, t } from "/static/texts.js";

export async function tab(model) {
  const strip = h("ol", { class: "strip" });
  const notes = h("div", {});
  const element = h("div", {}, h("h2", {}, t("tab.preprocessing")), h("p", { class: "lead" }, t("preprocessingLead")), strip, notes);
  let latest = 0;

  async function draw() {
    const requestId = ++latest;
    try {
      const result = await askOnce("/api/predict", { inspection: inspection() });
      if (requestId !== latest) return;
      const focused = strip.contains(document.activeElement) ? document.activeElement.dataset.step : null;
      show(strip, result.steps.map((step, n) => tile(step, n, result.steps.length)));
      if (focused) strip.querySelector(`[data-step="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      fill(requestId);
      show(notes, result.notes.length > 0 && h("ul", { class: "soft" }, result.notes.map((note) => h("li", {}, messageText(note)))));
    } catch (error) { if (requestId === latest) { show(strip); show(notes, errorText(error)); } }
  }

  /** The effect of each step takes a run of the network, so it follows later. */
  async function fill(requestId) {
    const places = [...strip.querySelectorAll(".effect")];
    if (!places.length) return;
    let effects;
    try { effects = await askOnce("/api/effects", { inspection: inspection() }); } catch (error) { effects = {}; console.debug(error); }
    if (requestId !== latest) return;
    for (const place of places) show(place, effect(effects[place.dataset.effect], place.dataset.on === "true"));
  }

  function tile(step, n) {
    const small = step.image && Math.max(step.image.width, step.image.height) <= 64;
    const title = messageText(step.title);
    return h("li", { class: "step" + (step.on ? "" : " off") },
      h("p", { class: "stepnumber soft" }, n + 1),
      h("h3", {}, title),
      step.image
        ? h("img", { src: imageAddress(step.image.png), alt: t("imageAfter", { step: title }), class: small ? "small" : "" })
        : h("div", { class: "noimage" }, h("span", { class: "soft" }, t("asFloats"))),
      step.image && h("p", { class: "soft number" }, `${step.image.width} × ${step.image.height}`),
      step.range && legend(scaleOf(...step.range, true), ""),
      h("p", { class: "text" }, messageText(step.text)),
      step.optional && h("label", { class: "switch" },
        h("input", { type: "checkbox", role: "switch", checked: step.on, data: { step: step.name }, onchange: (event) => flip(step.name, event.target.checked) }),
        h("span", {}, step.on ? t("on") : t("off"))),
      step.optional && h("div", { class: "effect", data: { effect: step.name, on: String(step.on) } }, h("p", { class: "soft" }, t("loading"))));
  }

  function flip(name, on) {
    const steps = { ...state.steps };
    if (name in steps) delete steps[name];
    else steps[name] = on;
    set({ steps });
  }

  function effect(found, on) {
    if (!found) return null;
    const rows = Object.entries(found).flatMap(([target, changes]) =>
      Object.entries(changes).filter(([, change]) => Math.abs(change) >= 0.0005).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 3)
        .map(([name, change]) => h("li", {}, h("span", {}, (model.targets.length > 1 ? `${target}: ` : "") + name), " ", h("span", { class: "number" }, `${signed(100 * change, 3)} ${t("points")}`))));
    return [h("p", { class: "soft" }, on ? t("effectOff") : t("effectOn")), rows.length ? h("ul", {}, rows) : h("p", {}, t("effectNone"))];
  }

  await draw();
  return { element, update(before, changed) { if (changed) draw(); } };
}

/** The images come as data URIs; the content security policy allows only blobs. */
export function imageAddress(data) {
  const found = /^data:image\/png;base64,(.*)$/s.exec(data);
  if (!found) return "";
  const bytes = Uint8Array.from(atob(found[1]), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return address;
}


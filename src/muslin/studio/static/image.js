// The dialog to choose an image: a golden image of the model, one of the folder, a file, the clipboard, the camera, or
// a drawing. The server decodes files: nothing is read back from a canvas.

import { get, send } from "/static/api.js";
import { announce, button, choice, h, show } from "/static/dom.js";
import { set, state } from "/static/state.js";
import { messageText, t } from "/static/texts.js";

const SIDE = 28;
const MAX_DRAWING_PX = 64; // px; for a larger network the drawing is uploaded as an image

export const thumbnail = (model, image, side) => `/api/thumbnail?${new URLSearchParams({ model, image, side })}`;

/** Upload a file that was chosen, dropped or pasted. `fail(text)` is called with an error. */
export async function take(blob, fail) {
  try {
    const { image, notes } = await send(blob);
    use(image);
    announce([t("imageUploaded"), ...notes.map(messageText)].join(". "));
    return true;
  } catch (error) {
    fail(error.message);
    return false;
  }
}

function use(image) {
  set({ image, image_edits: {}, steps: {} }, true);
}

/** Open the dialog; `model` is a response of /api/model. */
export function chooseImage(model) {
  const trouble = h("p", { class: "error", role: "alert" });
  const body = h("div", { class: "sources" });
  let stop = () => {}, turn = 0;
  const close = () => dialog.close();
  const done = (taken) => { if (taken) close(); };
  const sources = { examples, folder, file, camera, drawing };
  const dialog = h("dialog", { "aria-labelledby": "choose-title", onclose: () => { stop(); dialog.remove(); } },
    h("div", { class: "dialogtop" }, h("h2", { id: "choose-title" }, t("chooseImage")), button("×", close, { class: "quiet cross", "aria-label": t("close") })),
    choice(t("from"), "source", Object.keys(sources).map((name) => [name, t(`source.${name}`)]), "examples", open, true),
    trouble, body);
  document.body.append(dialog);
  dialog.addEventListener("paste", pasted);
  dialog.showModal();
  open("examples");

  async function open(name) {
    const requestId = ++turn;
    stop();
    stop = () => {};
    trouble.textContent = "";
    show(body, h("p", { class: "soft" }, t("loading")));
    let made = null, sentence = "";
    try { made = await sources[name](); } catch (error) { sentence = error.message; }
    if (requestId !== turn) return; // another way was chosen in the meantime
    show(body, made);
    fail(sentence);
  }
  function fail(sentence) { trouble.textContent = sentence; }

  function tiles(names, words) {
    return h("ul", { class: "tiles" }, names.map((name, n) => h("li", {},
      h("button", { type: "button", class: "tile", "aria-pressed": state.image === name ? "true" : "false", onclick: () => { use(name); close(); } },
        h("img", { src: thumbnail(model.path, name, 112), alt: "", loading: "lazy", class: model.input[0] <= 64 ? "small" : "", onerror: (event) => event.target.replaceWith(h("span", { class: "broken" }, t("unreadable"))) }),
        h("span", {}, words(name, n))))));
  }

  function examples() {
    return [h("p", { class: "soft" }, t("goldenText")), tiles(Array.from({ length: model.golden_images }, (_, n) => `golden:${n}`), (_, n) => t("example", { n: n + 1 }))];
  }

  async function folder() {
    const { images, more, unnamable } = await get("/api/images?start=0");
    const note = unnamable > 0 && h("p", { class: "soft" }, t("unnamable", { n: unnamable }));
    if (!images.length) return [h("p", { class: "soft" }, t("noImages")), note];
    return [tiles(images.map((name) => `file:${name}`), (name) => name.slice(5)), more && h("p", { class: "soft" }, t("onlyFirst", { n: images.length })), note];
  }

  function file() {
    const input = h("input", { type: "file", accept: "image/*", id: "file", onchange: async () => { if (input.files[0]) done(await take(input.files[0], fail)); } });
    const zone = h("div", {
      class: "drop",
      ondragover: (event) => event.preventDefault(),
      ondrop: async (event) => { event.preventDefault(); event.stopPropagation(); if (event.dataTransfer.files[0]) done(await take(event.dataTransfer.files[0], fail)); },
    }, h("label", { for: "file" }, t("chooseFile")), input, h("p", { class: "soft" }, t("dropOrPaste")),
    button(t("paste"), async () => {
      try {
        for (const item of await navigator.clipboard.read()) {
          const type = item.types.find((name) => name.startsWith("image/"));
          if (type) { done(await take(await item.getType(type), fail)); return; }
        }
        fail(t("clipboardEmpty"));
      } catch { fail(t("pasteByKeyOnly")); }
    }));
    return [zone, h("p", { class: "soft" }, t("uploadPrivacy"))];
  }

  async function pasted(event) {
    const item = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (!item) return;
    event.preventDefault();
    done(await take(item, fail));
  }

  async function camera() {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(t("noCamera"));
    let stream;
    const requestId = turn;
    try { stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } }); } catch { throw new Error(t("noCamera")); }
    const off = () => stream.getTracks().forEach((track) => track.stop());
    if (requestId !== turn || !dialog.open) { off(); return null; }
    stop = off;
    const video = h("video", { autoplay: true, playsinline: true, "aria-label": t("cameraView") });
    video.muted = true;
    video.srcObject = stream;
    return [video, h("p", {}, button(t("takePhoto"), async () => done(await take(await photo(stream, video), fail)), { class: "main" }))];
  }

  function drawing() { return drawingBoard(model, (image) => { use(image); close(); }, fail); }
}

async function photo(stream, video) {
  if (window.ImageCapture) {
    try { return await new ImageCapture(stream.getVideoTracks()[0]).takePhoto(); } catch { /* not every camera can; its video can */ }
  }
  const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Base64 for links (RFC 4648, section 5), without padding. */
const base64url = (values) => btoa(String.fromCharCode(...values)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

function drawingBoard(model, give, fail) {
  const own = model.input[0] === model.input[1] && model.input[0] <= MAX_DRAWING_PX;
  const side = own ? model.input[0] : SIDE;
  const ink = new Uint8Array(side * side);
  let brush = side > 40 ? 2.2 : 1.3, drawing = false, last = null, at = [side >> 1, side >> 1], light = 255;
  const canvas = h("canvas", { width: side, height: side, "aria-hidden": "true" });
  const cursor = h("span", { class: "cursor", "aria-hidden": "true" });
  const board = h("div", {
    class: "drawingboard", tabindex: 0, role: "application", "aria-label": t("drawingBoard", { side }), "aria-roledescription": t("mapRole"),
    onpointerdown: (event) => { drawing = true; board.setPointerCapture(event.pointerId); stroke(event); },
    onpointermove: (event) => { if (drawing) stroke(event); },
    onpointerup: () => { drawing = false; last = null; },
    onkeydown: (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (step) {
        at = [Math.min(Math.max(at[0] + step[0], 0), side - 1), Math.min(Math.max(at[1] + step[1], 0), side - 1)];
        if (event.shiftKey) { dot(at[0] + 0.5, at[1] + 0.5); draw(); }
        announce(t("rowColumn", { row: at[0] + 1, column: at[1] + 1 }) + `: ${ink[at[0] * side + at[1]]}`);
        point();
      } else if (event.key === " " || event.key === "Enter") {
        dot(at[0] + 0.5, at[1] + 0.5);
        draw();
      } else return;
      event.preventDefault();
    },
  }, canvas, cursor);

  function point() {
    cursor.style.setProperty("left", `${100 * at[1] / side}%`);
    cursor.style.setProperty("top", `${100 * at[0] / side}%`);
    cursor.style.setProperty("width", `${100 / side}%`);
    cursor.style.setProperty("height", `${100 / side}%`);
  }
  function dot(y, x) {
    const reach = Math.ceil(brush) + 1;
    for (let row = Math.max(0, Math.floor(y) - reach); row < Math.min(side, y + reach); row++) {
      for (let column = Math.max(0, Math.floor(x) - reach); column < Math.min(side, x + reach); column++) {
        const far = Math.hypot(row + 0.5 - y, column + 0.5 - x), part = Math.min(Math.max(brush + 0.5 - far, 0), 1), i = row * side + column;
        ink[i] = light ? Math.max(ink[i], Math.round(255 * part)) : Math.min(ink[i], Math.round(255 * (1 - part)));
      }
    }
  }
  function stroke(event) {
    const box = board.getBoundingClientRect();
    const y = (event.clientY - box.top) / box.height * side, x = (event.clientX - box.left) / box.width * side;
    const from = last || [y, x], steps = Math.max(1, Math.ceil(2 * Math.hypot(y - from[0], x - from[1])));
    for (let i = 1; i <= steps; i++) dot(from[0] + (y - from[0]) * i / steps, from[1] + (x - from[1]) * i / steps);
    last = [y, x];
    draw();
  }
  function draw() {
    const context = canvas.getContext("2d"), image = context.createImageData(side, side);
    for (let i = 0; i < ink.length; i++) image.data.set([ink[i], ink[i], ink[i], 255], 4 * i);
    context.putImageData(image, 0, 0);
  }
  async function finish() {
    if (!ink.some((value) => value)) { fail(t("drawingEmpty")); return; }
    if (own) { give(`drawing:${base64url(ink)}`); return; }
    try { give((await send(new Blob([`P5 ${side} ${side} 255\n`, ink]))).image); } catch (error) { fail(error.message); }
  }
  draw();
  point();
  return [
    h("p", { class: "soft" }, t("drawingHelp", { side })), board,
    choice(t("brush"), "brush", [[255, t("brush.draw")], [0, t("brush.erase")]], light, (value) => { light = value; }),
    h("p", { class: "buttons" }, button(t("useDrawing"), finish, { class: "main" }), button(t("clear"), () => { ink.fill(0); draw(); })),
  ];
}

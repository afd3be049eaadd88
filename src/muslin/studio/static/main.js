// The frame: header, language, theme, and the current page. A new page is a row of PAGES.

import { button, h, errorText, show } from "/static/dom.js";
import { link, set, state, watch } from "/static/state.js";
import { LANGUAGES, language, loadLanguage, t } from "/static/texts.js";

const PAGES = {
  home: { words: "pageHome", load: () => import("/static/home.js") },
  model: { load: () => import("/static/model.js") },
  playground: { words: "pagePlayground", load: () => import("/static/playground.js") },
  review: { words: "pageReview", load: () => import("/static/review/page.js") },
};
const BACK = [["layer", "at"], ["layer"]];

function stored(name) {
  try { return localStorage.getItem(`muslin-${name}`); } catch { return null; }
}
function store(name, value) {
  try { localStorage.setItem(`muslin-${name}`, value); } catch { /* without storage the page works all the same */ }
}

function applyTheme(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

const main = h("main", { id: "main", tabindex: -1 });
const header = h("header", { class: "top" });
const footer = h("footer", {});
let page = null, shown = "";

function frame() {
  const theme = stored("theme") || "auto";
  const to = (name, key) => h("a", { href: link({ ...CLOSED, page: name }), "aria-current": state.page === name ? "page" : null }, t(key));
  show(header,
    h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("skip")),
    h("a", { class: "brand", href: link({ ...CLOSED, page: "home" }) }, "muslin ", h("span", {}, "studio")),
    h("nav", { "aria-label": t("pages") }, to("home", "pageHome"), to("playground", "pagePlayground"), to("review", "pageReview")),
    h("span", { class: "grow" }),
    h("label", { class: "pick" }, h("span", { class: "visuallyhidden" }, t("language")),
      h("select", { onchange: (event) => { store("language", event.target.value); set({ lang: event.target.value }); } },
        Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, selected: code === language, lang: code }, name)))),
    h("label", { class: "pick" }, h("span", { class: "visuallyhidden" }, t("theme")),
      h("select", { onchange: (event) => { store("theme", event.target.value); applyTheme(event.target.value); } },
        ["auto", "light", "dark"].map((name) => h("option", { value: name, selected: name === theme }, t(`theme.${name}`))))),
    button(t("keys"), () => (page?.showKeys || showKeys)(), { class: "quiet" }));
  show(footer, t("footer"));
}
const CLOSED = { layer: "", at: [], channel: 0, store: "" };

function showKeys() {
  const rows = [["Esc", "keyBack"], ["Tab", "keyTab"], ["← ↑ → ↓", "keyArrows"], ["⇧ + ←", "keyFar"], ["Home · End", "keyEnds"], ["Enter", "keyEnter"]];
  const dialog = h("dialog", { class: "small", "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("h2", { id: "keys-title" }, t("keys")),
    h("dl", { class: "keys" }, rows.map(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(words))])),
    button(t("close"), () => dialog.close(), { autofocus: true }));
  document.body.append(dialog);
  dialog.showModal();
}

async function open() {
  const name = PAGES[state.page] ? state.page : "home";
  page?.close?.();
  page = null;
  shown = name;
  frame();
  show(main, h("p", { class: "soft" }, t("loading")));
  try {
    const made = await (await PAGES[name].load()).page();
    if (shown !== name) return;
    page = made;
    show(main, page.element);
    page.shown?.();
  } catch (error) { show(main, errorText(error)); }
}

async function refresh(before) {
  if (state.lang !== before.lang) {
    await loadLanguage(state.lang || stored("language"));
    await open();
    return;
  }
  if (state.page !== before.page || state.model !== before.model || state.store !== before.store) {
    await open();
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
    return;
  }
  frame();
  page?.update?.(before);
}

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input, select, textarea") && event.target.value !== event.target.defaultValue) return;
  for (const names of BACK) {
    const deepest = names[names.length - 1];
    const there = deepest === "at" ? state.at.length : state[deepest];
    if (!there) continue;
    event.preventDefault();
    set(deepest === "at" ? { at: [] } : { layer: "", at: [], channel: 0 }, true);
    return;
  }
});

applyTheme(stored("theme"));
await loadLanguage(state.lang || stored("language"));
document.body.append(header, main, footer);
watch(refresh);
await open();

// The frame: header, language, theme, and the current page. A new page is a row of PAGES.

import { askAhead } from "/static/api.js";
import { Button, Dialog, ErrorNotice, Preferences, applyTheme, stored } from "/static/components/index.js";
import { html, render } from "/static/html.js";
import { roomLink, set, state, watch } from "/static/state.js";
import { loadLanguage, t } from "/static/texts.js";

/**
 * A module of `load` exports `default`, a component that gets `{state}` and is rendered again at every change of the
 * address; or page() → {element, shown, update, close}. Either may export or have `showKeys`, its own list of keys.
 * `words` names the page in the header. `begin` is called when the page is opened, while its modules are loaded.
 */
const PAGES = {
  home: { words: "pageHome", load: () => import("/static/home/page.js") },
  data: { words: "pageData", load: () => import("/static/data/page.js"), begin: ({ data }) => data && askAhead("/api/data/open", { data }) },
  training: { words: "pageTraining", load: () => import("/static/training/page.js") },
  mistakes: { words: "pageMistakes", load: () => import("/static/mistakes/page.js") },
  model: { words: "pageModel", load: () => import("/static/model/page.js") },
  tagging: { words: "pageTagging", load: () => import("/static/tagging/page.js") },
  review: { words: "pageReview", load: () => import("/static/review/page.js") },
  walk: { words: "pageWalk", load: () => import("/static/walk/page.js") },
  camera: { words: "pageCamera", load: () => import("/static/camera/page.js") },
  playground: { words: "pagePlayground", load: () => import("/static/playground/page.js") },
};
const BACK = [["layer", "at"], ["layer"]];
const KEYS = [["Esc", "keyBack"], ["Tab", "keyTab"], ["← ↑ → ↓", "keyArrows"], ["⇧ + ←", "keyFar"], ["Home · End", "keyEnds"], ["Enter", "keyEnter"]];

const main = Object.assign(document.createElement("main"), { id: "main", tabIndex: -1 });
const header = Object.assign(document.createElement("header"), { className: "top" });
const footer = document.createElement("footer");
const dialogs = document.createElement("div");
let page = null, shown = "", turn = 0;

/** Whether the header names a page: a teacher's link can hide all but the walk. */
const isShown = (name) => !state.hide.includes("pages") || name === "walk";

function Header() {
  const skip = (event) => { event.preventDefault(); main.focus(); };
  return html`<a class="skip" href="#main" onclick=${skip}>${t("skip")}</a>
    <a class="brand" href=${roomLink(isShown("home") ? "home" : "walk")}>muslin <span>studio</span></a>
    <nav aria-label=${t("pages")}>${Object.entries(PAGES).filter(([name, one]) => one.words && isShown(name)).map(([name, one]) => html`
      <a key=${name} href=${roomLink(name)} aria-current=${shown === name ? "page" : null}>${t(one.words)}</a>`)}</nav>
    <span class="grow"></span>
    <${Preferences} onlanguage=${(lang) => set({ lang })} />
    <${Button} kind="quiet" onclick=${() => (page?.showKeys || showKeys)()}>${t("keys")}<//>`;
}

function frame() {
  render(html`<${Header} />`, header);
  render(t("footer"), footer);
  const { words } = PAGES[shown];
  document.title = words ? `${t(words)} · muslin studio` : "muslin studio";
}

function showKeys() {
  const close = () => render(null, dialogs);
  render(html`<${Dialog} title=${t("keys")} close=${close} kind="small">
    <dl class="keys">${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${t(words)}</dd>`)}</dl>
    <${Button} autofocus onclick=${close}>${t("close")}<//><//>`, dialogs);
}

/** A page that is a component: it stays, and is rendered again when the address changes. */
function componentPage(module) {
  const element = document.createElement("div");
  const draw = () => render(html`<${module.default} state=${state} />`, element);
  return { element, shown: draw, update: draw, close: () => render(null, element), showKeys: module.showKeys, stays: true };
}

async function open() {
  const name = PAGES[state.page] ? state.page : "home";
  const mine = ++turn; // another page can be opened while this one is loaded
  page?.close?.();
  page = null;
  shown = name;
  frame();
  render(html`<p class="page soft" role="status">${t("loading")}</p>`, empty(main));
  try {
    PAGES[name].begin?.(state);
    const module = await PAGES[name].load();
    const made = module.page ? await module.page() : componentPage(module);
    if (mine !== turn) return;
    page = made;
    empty(main).append(page.element);
    page.shown?.();
  } catch (error) {
    if (mine !== turn) return;
    console.debug(error);
    render(html`<div class="page"><${ErrorNotice} error=${error} retry=${open} /></div>`, empty(main));
  }
}

function empty(element) {
  render(null, element);
  element.replaceChildren();
  return element;
}

async function refresh(before) {
  if (state.lang !== before.lang) {
    await loadLanguage(state.lang || stored("language"));
    await open();
    return;
  }
  const isOther = (PAGES[state.page] ? state.page : "home") !== shown;
  if (isOther || (!page?.stays && (state.model !== before.model || state.store !== before.store))) {
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

applyTheme();
await loadLanguage(state.lang || stored("language"));
document.body.append(header, main, footer, dialogs);
watch(refresh);
await open();

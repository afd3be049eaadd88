"use strict";
{
  const cards = [...document.querySelectorAll(".finding")];
  const buttons = [...document.querySelectorAll(".choice")];
  const data = JSON.parse(document.getElementById("data").textContent);
  const store = "muslin-audit-" + data.key;
  const byId = (id) => document.getElementById(id);
  const nameOf = (button) => JSON.stringify([button.dataset.part, button.dataset.id]);

  // What a person decides is kept per image, so an image that is in two findings has one state.
  const suggested = new Map(buttons.map((button) => [nameOf(button), button.dataset.suggested === "1"]));
  const chosen = new Map(suggested);
  let decided = new Set();
  const history = [];

  try {
    const kept = JSON.parse(localStorage.getItem(store) || "{}");
    for (const [name, out] of Object.entries(kept.chosen || {})) if (chosen.has(name)) chosen.set(name, out);
    decided = new Set(kept.decided || []);
    byId("beyond").checked = kept.beyond !== false;
  } catch { /* a browser that keeps nothing for files still lets one choose and save */ }

  function keep() {
    const changed = [...chosen].filter(([name, out]) => out !== suggested.get(name));
    const state = { chosen: Object.fromEntries(changed), decided: [...decided], beyond: byId("beyond").checked };
    try { localStorage.setItem(store, JSON.stringify(state)); } catch { /* as above */ }
  }

  function out() {
    const names = [...chosen].filter(([, isOut]) => isOut).map(([name]) => JSON.parse(name));
    return byId("beyond").checked ? names.concat(data.beyond) : names;
  }

  function show() {
    for (const button of buttons) {
      const isOut = chosen.get(nameOf(button));
      button.setAttribute("aria-pressed", String(isOut));
      button.querySelector(".said").textContent = isOut ? "left out" : "kept";
      button.closest("figure").classList.toggle("out", isOut);
    }
    for (const card of cards) card.classList.toggle("decided", decided.has(card.id));
    byId("count").textContent = out().length.toLocaleString("en");
    byId("decided").textContent = `${decided.size.toLocaleString("en")} of ${cards.length.toLocaleString("en")}`;
    for (const link of document.querySelectorAll("nav a[data-section]")) {
      const left = document.querySelectorAll(`#${link.dataset.section} .finding:not(.decided)`).length;
      link.classList.toggle("done", left === 0);
    }
  }

  const current = () => cards.indexOf(document.activeElement.closest(".finding"));

  function go(place) {
    const card = cards[Math.max(0, Math.min(place, cards.length - 1))];
    if (!card) return;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
  }
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  function set(pairs, card) {
    history.push({ before: pairs.map(([name]) => [name, chosen.get(name)]), card, was: card && decided.has(card.id) });
    for (const [name, isOut] of pairs) chosen.set(name, isOut);
    if (card) decided.add(card.id);
    keep();
    show();
  }

  function undo() {
    const last = history.pop();
    if (!last) return;
    for (const [name, isOut] of last.before) chosen.set(name, isOut);
    if (last.card && !last.was) decided.delete(last.card.id);
    keep();
    show();
    if (last.card) go(cards.indexOf(last.card));
  }

  function decide(card, choose) {
    const theirs = [...card.querySelectorAll(".choice")].map(nameOf);
    set(theirs.map((name) => [name, choose(name)]), card);
    go(cards.indexOf(card) + 1);
  }

  function section(step) {
    const at = current();
    const titles = [...document.querySelectorAll("main section")];
    const here = at < 0 ? -1 : titles.indexOf(cards[at].closest("section"));
    const next = titles[Math.max(0, Math.min(here + step, titles.length - 1))];
    const first = next && next.querySelector(".finding");
    if (first) go(cards.indexOf(first));
  }

  // A spreadsheet must not take a name for a formula: muslin does the same, and takes it away again.
  const guarded = (cell) => (/^[=+\-@\t\r']/.test(cell) ? "'" + cell : cell);
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  function save() {
    const rows = [["part", "id"], ...out().map((row) => row.map(guarded))];
    const text = rows.map((row) => row.map(quoted).join(",") + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = "choices.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    byId("saved").textContent = `Saved ${(rows.length - 1).toLocaleString("en")} names as choices.csv.`;
  }

  const keys = {
    j: () => go(current() + 1),
    k: () => go(current() - 1),
    n: () => section(1),
    p: () => section(-1),
    w: save,
    u: undo,
    "?": () => (byId("keys").open ? byId("keys").close() : byId("keys").showModal()),
  };
  const onCard = {
    x: (card) => decide(card, () => true),
    c: (card) => decide(card, () => false),
    s: (card) => decide(card, (name) => suggested.get(name)),
    ArrowDown: () => go(current() + 1),
    ArrowUp: () => go(current() - 1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (byId("keys").open && event.key !== "?") return;
    const card = cards[current()];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (keys[key]) keys[key]();
    else if (card && onCard[key]) onCard[key](card);
    else if (card && /^[1-9]$/.test(key)) {
      const button = card.querySelectorAll(".choice")[Number(key) - 1];
      if (!button) return;
      set([[nameOf(button), !chosen.get(nameOf(button))]], card);
    } else return;
    event.preventDefault();
  });

  for (const button of buttons) {
    button.addEventListener("click", () => {
      set([[nameOf(button), !chosen.get(nameOf(button))]], button.closest(".finding"));
    });
  }
  for (const button of document.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => decide(button.closest(".finding"), (name) =>
      ({ out: true, keep: false, suggestion: suggested.get(name) })[button.dataset.all]));
  }
  byId("beyond").addEventListener("change", () => { keep(); show(); });
  byId("save").addEventListener("click", save);
  byId("help").addEventListener("click", keys["?"]);
  byId("start").addEventListener("click", () => go(Math.max(0, cards.findIndex((card) => !decided.has(card.id)))));
  byId("reset").addEventListener("click", () => {
    set([...suggested], null);
    decided.clear();
    keep();
    show();
  });
  document.documentElement.classList.add("live");
  show();
}

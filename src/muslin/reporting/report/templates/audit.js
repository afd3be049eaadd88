"use strict";
{
  const cards = [...document.querySelectorAll(".finding")];
  const buttons = [...document.querySelectorAll(".choice")];
  const data = JSON.parse(document.getElementById("data").textContent);
  const storeKey = "muslin-audit-" + data.key;
  const byId = (id) => document.getElementById(id);
  const nameOf = (button) => JSON.stringify([button.dataset.part, button.dataset.id]);

  // A decision is stored per image, so an image that is in two findings has one state.
  const suggested = new Map(buttons.map((button) => [nameOf(button), button.dataset.suggested === "1"]));
  const excluded = new Map(suggested);
  let decided = new Set();
  const history = [];

  try {
    const saved = JSON.parse(localStorage.getItem(storeKey) || "{}");
    for (const [name, exclude] of Object.entries(saved.excluded || {})) if (excluded.has(name)) excluded.set(name, exclude);
    decided = new Set(saved.decided || []);
    byId("hidden").checked = saved.hidden !== false;
  } catch { /* a browser without storage for files still lets a person decide and save */ }

  function store() {
    const changed = [...excluded].filter(([name, exclude]) => exclude !== suggested.get(name));
    const state = { excluded: Object.fromEntries(changed), decided: [...decided], hidden: byId("hidden").checked };
    try { localStorage.setItem(storeKey, JSON.stringify(state)); } catch { /* as above */ }
  }

  function exclusions() {
    const names = [...excluded].filter(([, exclude]) => exclude).map(([name]) => JSON.parse(name));
    return byId("hidden").checked ? names.concat(data.hidden) : names;
  }

  function render() {
    for (const button of buttons) {
      const exclude = excluded.get(nameOf(button));
      button.setAttribute("aria-pressed", String(exclude));
      button.querySelector(".state").textContent = exclude ? "excluded" : "kept";
      button.closest("figure").classList.toggle("excluded", exclude);
    }
    for (const card of cards) card.classList.toggle("decided", decided.has(card.id));
    byId("count").textContent = exclusions().length.toLocaleString("en");
    byId("decided").textContent = `${decided.size.toLocaleString("en")} of ${cards.length.toLocaleString("en")}`;
    for (const link of document.querySelectorAll("nav a[data-section]")) {
      const left = document.querySelectorAll(`#${link.dataset.section} .finding:not(.decided)`).length;
      link.classList.toggle("done", left === 0);
    }
  }

  const current = () => cards.indexOf(document.activeElement.closest(".finding"));

  function go(index) {
    const card = cards[Math.max(0, Math.min(index, cards.length - 1))];
    if (!card) return;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
  }
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  function set(pairs, card) {
    history.push({ before: pairs.map(([name]) => [name, excluded.get(name)]), card, wasDecided: card && decided.has(card.id) });
    for (const [name, exclude] of pairs) excluded.set(name, exclude);
    if (card) decided.add(card.id);
    store();
    render();
  }

  function undo() {
    const last = history.pop();
    if (!last) return;
    for (const [name, exclude] of last.before) excluded.set(name, exclude);
    if (last.card && !last.wasDecided) decided.delete(last.card.id);
    store();
    render();
    if (last.card) go(cards.indexOf(last.card));
  }

  function decide(card, choose) {
    const names = [...card.querySelectorAll(".choice")].map(nameOf);
    set(names.map((name) => [name, choose(name)]), card);
    go(cards.indexOf(card) + 1);
  }

  function section(step) {
    const index = current();
    const sections = [...document.querySelectorAll("main section")];
    const currentSection = index < 0 ? -1 : sections.indexOf(cards[index].closest("section"));
    const next = sections[Math.max(0, Math.min(currentSection + step, sections.length - 1))];
    const first = next && next.querySelector(".finding");
    if (first) go(cards.indexOf(first));
  }

  // A spreadsheet must not take a name for a formula. muslin does the same, and removes the apostrophe again.
  const escaped = (cell) => (/^[=+\-@\t\r']/.test(cell) ? "'" + cell : cell);
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  function save() {
    const rows = [["part", "id"], ...exclusions().map((row) => row.map(escaped))];
    const text = rows.map((row) => row.map(quoted).join(",") + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    byId("saved").textContent = `Saved ${(rows.length - 1).toLocaleString("en")} names as decisions.csv.`;
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
      set([[nameOf(button), !excluded.get(nameOf(button))]], card);
    } else return;
    event.preventDefault();
  });

  for (const button of buttons) {
    button.addEventListener("click", () => {
      set([[nameOf(button), !excluded.get(nameOf(button))]], button.closest(".finding"));
    });
  }
  for (const button of document.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => decide(button.closest(".finding"), (name) =>
      ({ exclude: true, keep: false, suggestion: suggested.get(name) })[button.dataset.all]));
  }
  byId("hidden").addEventListener("change", () => { store(); render(); });
  byId("save").addEventListener("click", save);
  byId("help").addEventListener("click", keys["?"]);
  byId("start").addEventListener("click", () => go(Math.max(0, cards.findIndex((card) => !decided.has(card.id)))));
  byId("reset").addEventListener("click", () => {
    set([...suggested], null);
    decided.clear();
    store();
    render();
  });
  document.documentElement.classList.add("live");
  render();
}

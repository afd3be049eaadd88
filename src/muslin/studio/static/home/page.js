// The home page: the models of the folder, and the kernel playground.

import { get, ask, inTurn } from "/static/api.js";
import { h, show } from "/static/dom.js";
import { DEFAULTS, link } from "/static/state.js";
import { bytes, count, percent, short, t } from "/static/texts.js";

const EXAMPLES = 4;

export async function page() {
  const { models } = await get("/api/models");
  return {
    element: h("div", { class: "page" },
      h("h1", {}, t("homeTitle")),
      h("p", { class: "lead" }, t("homeLead")),
      models.length
        ? h("ul", { class: "models" }, models.map(card))
        : h("div", { class: "empty" }, h("p", {}, t("noModels")), h("pre", {}, "muslin train fashion-mnist\nmuslin studio")),
      h("section", { "aria-labelledby": "without" },
        h("h2", { id: "without" }, t("withoutModel")),
        h("p", {}, t("playgroundLead")),
        h("p", {}, h("a", { class: "main", href: link({ ...DEFAULTS, page: "playground" }) }, t("openPlayground"))))),
  };
}

const imageOf = (model, n) => `/api/thumbnail?${new URLSearchParams({ model, image: `golden:${n}`, side: 96 })}`;

function card(model) {
  const facts = h("p", { class: "soft facts" }, bytes(model.bytes));
  const thumbnails = h("div", { class: "thumbnails" });
  const title = h("a", { href: link({ ...DEFAULTS, page: "model", model: model.path, image: "golden:0" }) }, model.name);
  const element = h("li", { class: "card" }, h("h2", {}, title), h("p", { class: "path soft" }, model.path), facts, thumbnails);
  new IntersectionObserver(async (entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    try {
      const about = await inTurn(() => ask("/api/model", { model: model.path }));
      const target = about.targets[0];
      const test = about.test_metrics?.[target.name];
      show(facts, [
        [test?.accuracy, test?.n, ...(test?.interval ?? [NaN])].every(Number.isFinite) && t("testAccuracy", { percent: percent(test.accuracy), n: count(test.n), low: percent(test.interval[0]), high: percent(test.interval[1]) }),
        about.targets.map((one) => (about.targets.length > 1 ? `${one.name}: ` : "") + t("classesCount", { n: count(one.classes.length) })).join(", "),
        about.parameters && t("parametersCount", { n: short(about.parameters) }), bytes(model.bytes),
      ].filter(Boolean).join(" · "));
      show(thumbnails, Array.from({ length: Math.min(EXAMPLES, about.golden_images) }, (_, n) =>
        h("img", { src: imageOf(model.path, n), alt: "", width: 56, height: 56, class: about.input[0] <= 64 ? "small" : "" })));
    } catch (error) { broken(error.message); }
  }).observe(element);
  return element;

  function broken(sentence) {
    show(title.parentElement, model.name);
    show(facts, h("span", { class: "error" }, sentence));
  }
}

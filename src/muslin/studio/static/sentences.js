// Sentences that muslin.explain says in English, in the language of the page; what is not known here stays as it came.

import { t } from "/static/texts.js";

const KNOWN = [
  ["exact", /^exact: from this layer on /, []],
  ["rounding", /^approximate: rounding alone moves the sum by (.+)$/, ["by"]],
  ["curved", /^approximate: a curved operation /, []],
  ["foreign", /^(\S+) is run, but not taken apart here\.?$/, ["op"]],
  ["notShown", /^The arithmetic of (.+) is not shown: (.+)\.$/, ["names", "why"]],
  ["noScores", /^No evidence for (.+): its probabilities do not come from a layer of scores\.$/, ["target"]],
  ["noMap", /^(.+): no evidence map, as no layer with a map leads to its scores by known steps\.$/, ["target"]],
];

export function said(sentence) {
  for (const [name, pattern, places] of KNOWN) {
    const found = pattern.exec(sentence);
    if (!found) continue;
    return t(`said.${name}`, Object.fromEntries(places.map((place, i) => [place, place === "why" ? said(found[i + 1]) : found[i + 1]])));
  }
  return sentence;
}

// Whether an attribution can be trusted: the sanity checks, each with its verdict and its numbers.

import { askOnce } from "/static/api.js";
import { Button, LineChart, Load } from "/static/components/index.js";
import { html } from "/static/html.js";
import { set, state } from "/static/state.js";
import { number, percent, t } from "/static/texts.js";

const MAX_SHUFFLED = 0.3, MAX_OTHER = 0.5; // rank correlations

export function SanityChecks({ request, found }) {
  const { tta_view: view, ...asked } = request, body = { ...asked, layer: found.layer, seed: 0 };
  return html`<section class="checks" aria-labelledby="checks-title"><h3 id="checks-title">${t("checksTitle")}</h3><p>${t("checksLead")}</p>
    ${state.checks ? html`<${Load} of=${body} from=${() => askOnce("/api/sanity-checks", body)} loading=${html`<p class="soft" role="status">${t("checksRunning")}</p>`}>${(made) => html`<${Tests} made=${made} />`}<//>`
    : html`<p><${Button} kind="main" onclick=${() => set({ checks: true })}>${t("checksRun")}<//></p>`}</section>`;
}

function Tests({ made }) {
  const { shuffled_weights: shuffled, other_class: other } = made;
  return html`<div class="tests">
    ${shuffled && html`<${Correlation} title=${t("test.shuffledWeights")} passed=${Math.abs(shuffled.mean) < MAX_SHUFFLED} value=${shuffled.mean}
      words=${t("shuffledWeightsText", { value: number(shuffled.mean, 2), n: shuffled.correlations.length, low: number(shuffled.interval[0], 2), high: number(shuffled.interval[1], 2) })} />`}
    ${other && html`<${Correlation} title=${t("test.otherClass")} passed=${other.correlation < MAX_OTHER} value=${other.correlation} words=${t("otherClassText", { class: other.class, value: number(other.correlation, 2) })} />`}
    ${made.deletion && html`<${Curve} name="deletion" made=${made.deletion} direction=${-1} />`}${made.insertion && html`<${Curve} name="insertion" made=${made.insertion} direction=${1} />`}</div>`;
}

const Verdict = ({ passed }) => html`<p class=${`verdict ${passed ? "passed" : "failed"}`}><span aria-hidden="true">${passed ? "✓ " : "! "}</span>${t(passed ? "passed" : "failed")}</p>`;

function Correlation({ title, passed, value, words }) {
  return html`<section class="test"><h4>${title}</h4><${Verdict} passed=${passed} /><p class="number big">${t("correlation", { value: number(value, 2) })}</p><p class="soft">${words}</p></section>`;
}

function Curve({ name, made, direction }) {
  const { auc } = made;
  return html`<section class="test"><h4>${t(`test.${name}`)}</h4><${Verdict} passed=${direction * auc.difference > 0} />
    <${LineChart} title=${t(`${name}Title`)} x=${made.fraction} name=${name} formatX=${(at) => percent(at, 0)} xWords=${t(`${name}X`)} band=${made.random_low ? { low: made.random_low, high: made.random_high } : null}
      lines=${[{ words: t("byAttribution"), values: made.attribution }, { words: t("byRandom"), values: made.random }]} />
    <p class="soft">${t("aucText", { attribution: number(auc.attribution, 3), random: number(auc.random, 3) })}${auc.interval && ` ${t("aucInterval", { low: number(auc.interval[0], 2), high: number(auc.interval[1], 2) })}`}</p></section>`;
}

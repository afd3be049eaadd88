// What can be decided on the selected images: a label by a number key, exclusion, undo; and who decides.

import { Button, Field, Notice } from "/static/components/index.js";
import { html } from "/static/html.js";
import { count, t, tn } from "/static/texts.js";

export const CLASS_KEYS = "1234567890";

/** Buttons for the decisions on what `session` has selected. `similar()` sorts by similarity to the current image. */
export function LabelPanel({ session, similar }) {
  const { about, target, chosen } = session, is_off = !chosen.length || !about.is_writable;
  const row = chosen.length === 1 ? session.rows.get(chosen[0]) : undefined, labels = row ? [row.label].flat() : [];
  return html`<section class="labelpanel panel" aria-label=${t("data.decide")}>
    <h2>${chosen.length === 1 && row ? row.id : tn("data.selected", chosen.length)}</h2>
    ${row && html`<p class="soft">${[row.part && t(`data.part.${row.part}`), row.group, session.valuesText(row)].filter(Boolean).join(" · ")}</p>`}
    ${!about.is_writable && html`<${Notice} kind="warning"><p>${t("data.readOnly", { path: about.corrections })}</p><//>`}
    ${target && html`<div class="classes" role="group" aria-label=${t("data.label")}>${target.classes.map((name, n) => html`
      <${Button} key=${name} hotkey=${CLASS_KEYS[n]} disabled=${is_off} aria-pressed=${String(labels.includes(n))} onclick=${() => session.setLabel(name)}>${name}<//>`)}</div>`}
    <p class="buttons">
      <${Button} hotkey="C" disabled=${is_off || !target} onclick=${() => session.confirm()}>${t("data.confirm")}<//>
      <${Button} hotkey="X" disabled=${is_off} onclick=${() => session.setExcluded()}>${t(row?.is_excluded ? "data.include" : "data.exclude")}<//>
      <${Button} hotkey="U" disabled=${!session.lastBatch} onclick=${() => session.undo()}>${t("data.undo")}<//>
      ${similar && html`<${Button} hotkey="S" disabled=${chosen.length !== 1} onclick=${similar}>${t("data.similar")}<//>`}
    </p>
    ${row?.decisions?.map((one) => html`<p class="soft" key=${one.number}>${decisionText(one)}</p>`)}
    <${Saving} session=${session} />
    <${Field} label=${t("data.who")} value=${session.who} placeholder=${t("data.me")} maxlength="200" onchange=${(who) => session.setName(who.trim())} />
  </section>`;
}

/** What was decided, by whom and when. */
export function decisionText(one) {
  const when = new Date(one.when).toLocaleString(document.documentElement.lang);
  return t("data.decision", { what: one.kind === "label" ? one.label : t(`data.kind.${one.kind}`), who: one.who || t("data.file"), when });
}

/** What is on its way to the disk, what was refused, and what others decided before. */
function Saving({ session }) {
  const { outbox, told } = session, waiting = outbox.waitingCount, last = session.lastBatch;
  return html`<div class="saving" role="status">
    ${outbox.offline ? html`<p class="error">${t("data.offline", { n: count(waiting) })} ${outbox.offline}</p>`
    : html`<p class="soft">${waiting ? tn("data.saving", waiting) : last ? t("data.saved", { words: last.words, path: session.about.corrections }) : ""}</p>`}
    ${outbox.refused.map((batch) => html`<${Notice} kind="warning" key=${batch.key}><p>${batch.refused}</p>
      <${Button} kind="link" onclick=${() => { outbox.forget(batch); session.refresh(batch.decisions.map((one) => one.index)); }}>${t("data.discard")}<//><//>`)}
    ${told.length > 0 && html`<${Notice} kind="warning"><p>${tn("data.replaced", told.length)}</p>${told.slice(0, 3).map((one) => html`<p class="soft" key=${one.number}>${one.id}: ${decisionText(one)}</p>`)}
      <${Button} kind="link" onclick=${() => { session.told = []; session.changed(); }}>${t("close")}<//><//>`}
  </div>`;
}

/** A key that decides; whether it was one. */
export function decidedBy(event, session, more = {}) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (event.target.matches?.("input, select, textarea")) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, number = CLASS_KEYS.indexOf(key);
  const acts = { c: () => session.confirm(), x: () => session.setExcluded(), u: () => session.undo(), ...more };
  const name = number >= 0 && session.target?.classes[number];
  if (!name && !acts[key]) return false;
  event.preventDefault();
  if (event.repeat || !session.about.is_writable) return true; // a held key decides once
  if (name) (more.label || session.setLabel.bind(session))(name);
  else acts[key]();
  return true;
}

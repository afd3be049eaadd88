// Per-class metrics with their intervals; each number opens the images that it counts.

import { Table } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { link } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { NO_SELECTION } from "./selection.js";

const RATES = ["precision", "recall", "f1"];

export class Classes extends Component {
  constructor() {
    super();
    this.state = { sorted: { name: "recall", descending: false } };
  }

  sort = (name) => {
    const { sorted } = this.state;
    this.setState({ sorted: { name, descending: sorted.name === name ? !sorted.descending : false } });
  };

  render({ found }, { sorted }) {
    const key = (row) => row[sorted.name] ?? -1, sign = sorted.descending ? -1 : 1;
    const rows = found.classes.map((row) => ({ ...row, missed: row.support - row.correct, extra: row.predicted - row.correct }));
    rows.sort((a, b) => sign * (sorted.name === "name" ? a.name.localeCompare(b.name) : key(a) - key(b)));
    const opens = (row, n, outcome, words) => (n ? html`<a href=${link({ ...NO_SELECTION, label: row.name, outcome })} aria-label=${`${row.name}, ${words}: ${n}`}>${count(n)}</a>` : "0");
    const columns = [
      { name: "name", words: t("class") },
      { name: "support", words: t("mistakes.support"), isNumber: true, cell: (row) => count(row.support) },
      ...RATES.map((name) => ({ name, words: t(`mistakes.${name}`), isNumber: true, cell: (row) => html`<${Rate} value=${row[name]} interval=${row[`${name}_interval`]} />` })),
      { name: "missed", words: t("mistakes.missed"), isNumber: true, cell: (row) => opens(row, row.missed, "missed", t("mistakes.missed")) },
      { name: "extra", words: t("mistakes.extra"), isNumber: true, cell: (row) => opens(row, row.extra, "extra", t("mistakes.extra")) },
    ];
    return html`<h2>${t("mistakes.view.classes")}</h2><p class="lead">${t("mistakes.classesLead")}</p>
      <${Table} caption=${t("mistakes.view.classes")} columns=${columns} rows=${rows} rowKey=${(row) => row.name} onsort=${this.sort} sorted=${sorted} />`;
  }
}

export function Rate({ value, interval }) {
  if (value === null) return "–";
  return html`${percent(value)} <small class="soft">${percent(interval[0])}–${percent(interval[1])}</small>`;
}

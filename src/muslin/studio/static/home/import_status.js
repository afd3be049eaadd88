// How far an import is, what it could not use, and imports that were interrupted.

import { ask } from "/static/api.js";
import { Button, ErrorNotice, Notice, Progress } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { bytes, messageText, t, tn } from "/static/texts.js";
import { current, dismiss, isImporting, watchImport } from "./importing.js";

/** The import that runs or has just ended; `open(data)` goes to the data set. */
export class ImportStatus extends Component {
  componentDidMount() {
    this.stop = watchImport(() => this.setState({}));
  }

  componentWillUnmount() {
    this.stop();
  }

  render({ open }) {
    if (!current) return null;
    const { phase, name, sent, bytes: all, files, notes, error, result } = current;
    return html`<${Notice} kind=${error || phase === "refused" ? "warning" : ""}>
      <p><strong>${t(`import.${phase}`, { name })}</strong> ${phase === "sending" && all > 0 && html`<${Progress} label=${t("import.sending", { name })} value=${sent / all} words=${`${bytes(sent)} / ${bytes(all)}`} />`}
        ${result && tn("home.images", result.images)}${phase === "sending" && !all && tn("import.files", files)}</p>
      ${notes.map(({ message, count }) => html`<p>${messageText(message)} ${count > 1 && html`<span class="soft">${tn("import.more", count - 1)}</span>`}</p>`)}
      <${ErrorNotice} error=${error} />
      ${error && html`<p class="soft">${t("import.again")}</p>`}
      <p class="buttons">${result && html`<${Button} kind="main" onclick=${() => { dismiss(); open(result.data); }}>${t("home.open")}<//>`}
        ${!isImporting() && html`<${Button} onclick=${dismiss}>${t("close")}<//>`}</p><//>`;
  }
}

/** An import that was interrupted: drop the same again, or delete what has arrived. */
export class Incomplete extends Component {
  discard = async () => {
    try {
      await ask("/api/imports/discard", { name: this.props.row.name });
      this.props.changed();
    } catch (error) { this.setState({ error }); }
  };

  render({ row }, { error }) {
    if (isImporting() && current.name === row.name) return null;
    return html`<${Notice} kind="warning"><p>${t("import.incomplete", { name: row.name, files: row.files, size: bytes(row.bytes) })}</p>
      <${ErrorNotice} error=${error} /><p class="buttons"><${Button} onclick=${this.discard}>${t("import.discard")}<//></p><//>`;
  }
}

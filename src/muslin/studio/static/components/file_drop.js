// A place to drop files and folders, with buttons that choose them: everything works without dragging.

import { Component, classes, createRef, html } from "/static/html.js";
import { t } from "/static/texts.js";
import { Button } from "./controls.js";
import { droppedFiles } from "./dropped_files.js";

/** `onfiles([{path, file}])`: the files with their paths below what was dropped. `accept` as of an input. */
export class FileDrop extends Component {
  constructor() {
    super();
    this.files = createRef();
    this.folder = createRef();
  }

  chosen = (event) => {
    const files = Array.from(event.target.files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
    event.target.value = ""; // else the same choice again says nothing
    if (files.length) this.props.onfiles(files);
  };

  dropped = async (event) => {
    event.preventDefault();
    this.setState({ isOver: false });
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) this.props.onfiles(files);
  };

  render({ children, accept, withFolder = true, disabled = false }, { isOver }) {
    return html`<div class=${classes("drop", isOver && "over")} ondragover=${(event) => { event.preventDefault(); if (!isOver) this.setState({ isOver: true }); }}
      ondragleave=${() => this.setState({ isOver: false })} ondrop=${disabled ? (event) => event.preventDefault() : this.dropped}>
      ${children}
      <div class="buttons">
        <${Button} disabled=${disabled} onclick=${() => this.files.current.click()}>${t("chooseFiles")}<//>
        ${withFolder && html`<${Button} disabled=${disabled} onclick=${() => this.folder.current.click()}>${t("chooseFolder")}<//>`}
      </div>
      <input type="file" multiple hidden ref=${this.files} accept=${accept} aria-label=${t("chooseFiles")} onchange=${this.chosen} />
      <input type="file" webkitdirectory hidden ref=${this.folder} aria-label=${t("chooseFolder")} onchange=${this.chosen} />
    </div>`;
  }
}

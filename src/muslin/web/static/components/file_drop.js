// A place to drop files and folders, with buttons that choose them: everything works without dragging.

import { Component, classes, createRef, html } from "../html.js";
import { t } from "../texts.js";
import { Button } from "./controls.js";
import { droppedFiles } from "./dropped_files.js";

/**
 * `onfiles([{path, file}])`: the files with their paths below what was dropped, anywhere on the page. `accept` as of an
 * input; `buttons` stand beside its own. What is dropped never replaces the page, as it would in a browser.
 */
export class FileDrop extends Component {
  constructor() {
    super();
    this.files = createRef();
    this.folder = createRef();
  }

  componentDidMount() {
    this.listeners = { dragover: this.over, dragleave: this.left, drop: this.dropped };
    for (const [name, act] of Object.entries(this.listeners)) addEventListener(name, act);
  }

  componentWillUnmount() {
    for (const [name, act] of Object.entries(this.listeners)) removeEventListener(name, act);
  }

  over = (event) => {
    event.preventDefault();
    if (!this.state.isOver) this.setState({ isOver: true });
  };

  left = (event) => {
    if (!event.relatedTarget) this.setState({ isOver: false }); // out of the window, and not into another element
  };

  chosen = (event) => {
    const files = Array.from(event.target.files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
    event.target.value = ""; // else the same choice again says nothing
    if (files.length) this.props.onfiles(files);
  };

  dropped = async (event) => {
    event.preventDefault();
    this.setState({ isOver: false });
    if (this.props.disabled) return;
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) this.props.onfiles(files);
  };

  render({ children, accept, buttons, withFolder = true, disabled = false }, { isOver }) {
    return html`<div class=${classes("drop", isOver && "over")}>
      ${children}
      <div class="buttons">
        <${Button} disabled=${disabled} onclick=${() => this.files.current.click()}>${t("chooseFiles")}<//>
        ${withFolder && html`<${Button} disabled=${disabled} onclick=${() => this.folder.current.click()}>${t("chooseFolder")}<//>`}
        ${buttons}
      </div>
      <input type="file" multiple hidden ref=${this.files} accept=${accept} aria-label=${t("chooseFiles")} onchange=${this.chosen} />
      <input type="file" webkitdirectory hidden ref=${this.folder} aria-label=${t("chooseFolder")} onchange=${this.chosen} />
    </div>`;
  }
}

// Modal dialogs, which are open as long as they are rendered.

import { Component, classes, createRef, html } from "../html.js";
import { t } from "../texts.js";
import { Button } from "./controls.js";

/** A dialog over the page. Escape and × call `close`, unless it is `locked`; the focus returns to where it was. */
export class Dialog extends Component {
  constructor() {
    super();
    this.element = createRef();
  }

  componentDidMount() {
    this.before = document.activeElement;
    this.element.current.showModal();
    if (!this.element.current.querySelector("[autofocus]")) this.element.current.focus(); // and not the first button
  }

  componentWillUnmount() {
    this.element.current.close();
    if (this.before?.isConnected) this.before.focus({ preventScroll: true });
  }

  render({ title, close, children, kind = "", locked = false }) {
    return html`<dialog ref=${this.element} tabindex="-1" class=${classes(kind)} aria-label=${title}
      oncancel=${(event) => { event.preventDefault(); if (!locked) close(); }}>
      <div class="dialogtop"><h2>${title}</h2>${!locked && html`<button type="button" class="quiet cross" aria-label=${t("close")} onclick=${close}>×</button>`}</div>
      ${children}
    </dialog>`;
  }
}

/** A question with two ways out: `act` does it, `close` does nothing. */
export function Confirm({ title, children, words, act, close }) {
  return html`<${Dialog} title=${title} close=${close} kind="small">${children}
    <p class="buttons"><${Button} kind="main" onclick=${() => { close(); act(); }}>${words}<//><${Button} onclick=${close} autofocus>${t("cancel")}<//></p><//>`;
}

// A teacher's link: the same address, with what the lesson does not need hidden.

import { Button, Dialog, Switch } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { link, state } from "/static/state.js";
import { t } from "/static/texts.js";

const OF_PAGE = ["pages", "teacher"]; // the other pages in the header; this button

export class Teacher extends Component {
  render({ names }, { isOpen, isCopied }) {
    const hidden = this.state.hidden || [...state.hide, "teacher"];
    const turn = (name) => this.setState({ hidden: hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name], isCopied: false });
    const first = names.find((name) => !hidden.includes(name)) || "";
    const address = new URL(link({ hide: [...new Set(hidden)], walk: {}, stage: first }), location.href).href;
    const copy = async () => {
      try { await navigator.clipboard.writeText(address); this.setState({ isCopied: true }); } catch { this.field.select(); }
    };
    return html`<${Button} onclick=${() => this.setState({ isOpen: true, hidden: null, isCopied: false })}>${t("walk.teacher")}<//>
      ${isOpen && html`<${Dialog} title=${t("walk.teacher")} close=${() => this.setState({ isOpen: false })} kind="small">
        <p>${t("walk.teacher.text")}</p>
        <ul class="editable">${names.map((name) => html`<li key=${name}><${Switch} label=${t(`walk.${name}.name`)} checked=${!hidden.includes(name)} onchange=${() => turn(name)} /></li>`)}
          ${OF_PAGE.map((name) => html`<li key=${name}><${Switch} label=${t(`walk.teacher.${name}`)} checked=${!hidden.includes(name)} onchange=${() => turn(name)} /></li>`)}</ul>
        <label class="field"><span>${t("walk.teacher.link")}</span><input type="text" readonly value=${address} ref=${(element) => { this.field = element; }} /></label>
        <p class="buttons"><${Button} kind="main" onclick=${copy}>${t("walk.teacher.copy")}<//></p><p role="status">${isCopied && t("walk.teacher.copied")}</p>
        <p class="soft">${t("walk.teacher.note")}</p><//>`}`;
  }
}

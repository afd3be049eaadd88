// The page's one view: choose a model and images, see what is predicted.

import { Camera } from "./components/camera.js";
import { Button, Field, Select, Switch } from "./components/controls.js";
import { FileDrop } from "./components/file_drop.js";
import { ErrorNotice, Notice } from "./components/notices.js";
import { Component, createRef, html } from "./html.js";
import { count, percent, t, tn } from "./texts.js";
import { Api } from "./api.js";
import { Card, spokenPrediction } from "./card.js";
import { MAX_CARDS, Queue } from "./queue.js";
import { models, storeToken, storedToken } from "./requests.js";

const PRECISIONS = [0.8, 0.9, 0.95, 0.98, 0.99];
const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia); // browsers offer it on this machine and over HTTPS only

/** Where the work goes on when what had the focus is gone. */
const focusWork = () => document.querySelector("input[type=password], .drop button")?.focus();

export class TryIt extends Component {
  constructor() {
    super();
    this.queue = new Queue(() => this.setState({}));
    this.phone = createRef();
    this.state = { models: null, model: "", precision: "", together: false, isCamera: false, error: null, given: 0 };
  }

  componentDidMount() {
    addEventListener("paste", this.paste);
    this.load();
  }

  componentDidUpdate({ language }) {
    if (language === this.props.language) return;
    if (this.state.models) this.queue.again(this.options); // notes and reasons come in the page's language
    else if (this.state.error?.status !== 401) this.load();
  }

  componentWillUnmount() {
    removeEventListener("paste", this.paste);
    this.queue.clear();
  }

  load = async () => {
    try {
      const found = await models();
      this.setState({ models: found, model: found[0]?.model || "", error: null });
    } catch (error) { this.setState({ error }); }
  };

  get options() {
    const { model, precision } = this.state;
    return { model, precision };
  }

  take = (files) => {
    const given = Array.from(files), images = given.slice(0, MAX_CARDS);
    if (!images.length) return;
    this.setState({ given: given.length });
    this.queue.add(images, this.state.together && images.length > 1);
    this.queue.run(this.options);
  };

  paste = (event) => {
    if (this.state.models) this.take(event.clipboardData?.files ?? []);
  };

  photo = (blob) => {
    this.setState({ isCamera: false }, focusWork);
    this.take([new File([blob], t("try.photoName"), { type: blob.type })]);
  };

  choose(change) {
    this.setState(change, () => this.queue.again(this.options));
  }

  enter = async (token) => {
    storeToken(token.trim());
    await this.load();
    this.setState({}, focusWork);
  };

  render(_, { models: found, error }) {
    return html`<div class="page try"><h1>${t("try.title")}</h1>
      ${found ? this.bench(found) : html`<p class="lead">${t("try.lead")}</p>`}
      ${error?.status === 401 ? html`<${Token} enter=${this.enter} />` : html`<${ErrorNotice} error=${error} retry=${found ? null : this.load} />`}
      ${!found && !error && html`<p class="soft" role="status">${t("loading")}</p>`}</div>`;
  }

  cameraButton() {
    const { isCamera } = this.state;
    if (hasCamera) return html`<${Button} aria-expanded=${isCamera} onclick=${() => this.setState({ isCamera: !isCamera, error: null })}>${t(isCamera ? "try.closeCamera" : "try.openCamera")}<//>`;
    return html`<${Button} onclick=${() => this.phone.current.click()}>${t("try.openCamera")}<//>
      <input type="file" accept="image/*" capture="environment" hidden ref=${this.phone} aria-label=${t("try.openCamera")} onchange=${(event) => this.take(event.target.files)} />`;
  }

  bench(found) {
    const { model, precision, together, isCamera, given } = this.state, { queue } = this;
    const shown = found.find((one) => one.model === model);
    return html`${shown && html`<${About} model=${shown} />`}
      <div class="toolbar">
        ${found.length > 1 && html`<${Select} label=${t("try.model")} value=${model} onchange=${(value) => this.choose({ model: value })} choices=${found.map((one) => [one.model, one.model])} />`}
        <${Select} label=${t("try.precision")} value=${precision} onchange=${(value) => this.choose({ precision: value })}
          choices=${[["", t("try.precisionDefault")], ...PRECISIONS.map((one) => [one, percent(one, 0)])]} />
        <${Switch} label=${t("try.together")} checked=${together} onchange=${(on) => this.setState({ together: on })} />
      </div>
      <${FileDrop} onfiles=${(files) => this.take(files.map((one) => one.file))} accept="image/*" withFolder=${false} buttons=${this.cameraButton()}>
        <p class="dropwords">${t("try.drop")}</p><//>
      ${isCamera && html`<div class="viewfinder"><${Camera} take=${this.photo} fail=${(text) => this.setState({ isCamera: false, error: new Error(text) })} /></div>`}
      ${given > MAX_CARDS && html`<${Notice}><p>${t("try.tooMany", { n: count(given), max: MAX_CARDS })}</p><//>`}
      <${Results} queue=${queue} again=${() => queue.run(this.options)} />
      <${Api} model=${found.length > 1 ? model : ""} />`;
  }
}

/** The token of a server that asks for one. */
class Token extends Component {
  render({ enter }, { token = "" }) {
    const send = (event) => { event.preventDefault(); enter(token); };
    return html`<p>${t("try.tokenNeeded")}</p><form class="toolbar" onsubmit=${send}>
      <${Field} label=${t("try.token")} type="password" live autocomplete="off" value=${token} onchange=${(value) => this.setState({ token: value })} />
      <button type="submit" class="main" disabled=${!token.trim()}>${t("try.enter")}</button></form>
      ${storedToken() && html`<p class="error" role="alert">${t("try.tokenRefused")}</p>`}`;
  }
}

/** The model and its classes. */
function About({ model }) {
  const targets = Object.entries(model.targets);
  return html`<p class="lead">${t("try.lead")}</p>
    <p class="soft"><strong>${model.model}</strong> <code class="digest" title=${model.digest}>${model.digest.slice(0, 12)}</code></p>
    ${targets.map(([name, { classes }]) => html`<details key=${name}><summary>${targets.length > 1 && html`${name}: `}${tn("try.classes", classes.length)}</summary><p>${classes.join(" · ")}</p></details>`)}`;
}

/** How far it is, and a card for each. */
function Results({ queue, again }) {
  const { cards, left, latest } = queue, title = createRef();
  const retry = (card) => { card.state = "waiting"; again(); };
  const remove = (card) => { title.current.focus(); queue.remove(card); };
  return html`<p class="visuallyhidden" role="status">${latest && spokenPrediction(latest)}</p>
    <section aria-labelledby="results" hidden=${!cards.length}>
      <div class="resultshead"><h2 id="results" tabindex="-1" ref=${title}>${t("try.results")}</h2>
        <span class="soft">${left ? tn("try.left", left) : ""}</span><span class="grow"></span>
        <${Button} kind="quiet" onclick=${() => { queue.clear(); focusWork(); }}>${t("try.clear")}<//></div>
      <ul class="cards">${cards.map((card) => html`<${Card} key=${card.id} card=${card} retry=${() => retry(card)} remove=${() => remove(card)} />`)}</ul>
    </section>`;
}

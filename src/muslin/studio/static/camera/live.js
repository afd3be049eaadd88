// The model's prediction for what the camera sees now, as often as the server answers.

import { ask, send } from "/static/api.js";
import { ErrorNotice } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { roomLink } from "/static/state.js";
import { percent, t } from "/static/texts.js";

const PAUSE_MS = 120;

/** `recorder` gives frames; `model` is the path of the model. */
export class Live extends Component {
  componentDidMount() {
    this.run();
  }

  componentWillUnmount() {
    this.isGone = true;
  }

  async run() {
    while (!this.isGone) {
      try {
        const frame = await this.props.recorder.frame();
        if (frame) await this.predict(frame);
      } catch (error) {
        this.setState({ error });
        return;
      }
      await new Promise((wake) => { setTimeout(wake, PAUSE_MS); });
    }
  }

  async predict(frame) {
    const { image } = await send(frame);
    const { predictions } = await ask("/api/predict", { inspection: { model: this.props.model, image } });
    this.setState({ found: Object.values(predictions)[0], image });
  }

  render({ model }, { found, image, error }) {
    if (error) return html`<${ErrorNotice} error=${error} retry=${() => { this.setState({ error: null }); this.run(); }} />`;
    if (!found) return html`<p class="soft">${t("loading")}</p>`;
    return html`<div class="livebars"><p class="verdict"><strong>${found.label}</strong> <span class="number">${percent(found.probability, 0)}</span></p>
      <ul class="bars">${Object.entries(found.probabilities).map(([name, p]) => html`<li key=${name} class="livebar">
        <span class="name">${name}</span><span class="bar" aria-hidden="true"><i style=${{ width: `${100 * p}%` }}></i></span><span class="number">${percent(p, 0)}</span></li>`)}</ul>
      <p><a href=${roomLink("model", { model, image })}>${t("camera.whyThis")}</a></p></div>`;
  }
}

// Images to choose from, as buttons.

import { Component, html } from "/static/html.js";
import { state } from "/static/state.js";
import { t } from "/static/texts.js";
import { thumbnail } from "./image_sources.js";

/** Images to choose from: [{image, words}]. */
export function Tiles({ model, tiles, use: choose }) {
  return html`<ul class="tiles">${tiles.map(({ image, words }) => html`<li key=${image}><${Tile} model=${model} image=${image} words=${words} choose=${() => choose(image)} /></li>`)}</ul>`;
}

class Tile extends Component {
  render({ model, image, words, choose }, { isBroken }) {
    return html`<button type="button" class="tile" aria-pressed=${String(state.image === image)} onclick=${choose}>
      ${isBroken ? html`<span class="broken">${t("unreadable")}</span>` : html`<img src=${thumbnail(model.path, image, 112)} alt="" loading="lazy" class=${model.input[0] <= 64 ? "small" : null} onerror=${() => this.setState({ isBroken: true })} />`}
      <span>${words}</span></button>`;
  }
}

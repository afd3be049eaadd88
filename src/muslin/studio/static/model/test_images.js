// The images that test the model, with their true labels: a page of the data of its run.

import { askOnce } from "/static/api.js";
import { Button, Load, Select } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { count, t } from "/static/texts.js";
import { Tiles } from "./tiles.js";

const PAGE_IMAGES = 48; // as the server gives

export class TestImages extends Component {
  state = { start: 0, label: "" };

  render({ model, use }, { start, label }) {
    const request = { model: model.path, start, ...(label && { label }) }, [target] = model.targets;
    return html`<${Load} of=${request} from=${() => askOnce("/api/model/images", request)}>${(found) => html`
      <p class="soft">${t(`model.part.${found.part}`, { data: found.data, n: count(found.total) })}</p>
      <div class="toolbar"><${Select} label=${t("model.trueLabelIs")} value=${label} choices=${[["", t("model.anyLabel")], ...target.classes.map((name) => [name, name])]} onchange=${(name) => this.setState({ label: name, start: 0 })} />
        <${Button} disabled=${start === 0} onclick=${() => this.setState({ start: start - PAGE_IMAGES })}>${t("previous")}<//>
        <${Button} disabled=${start + PAGE_IMAGES >= found.total} onclick=${() => this.setState({ start: start + PAGE_IMAGES })}>${t("next")}<//></div>
      <${Tiles} model=${model} use=${use} tiles=${found.images.map(({ image, labels }) => ({ image, words: Object.values(labels).join(" · ") || t("model.noLabel") }))} />`}<//>`;
  }
}

// The dialog to choose an image: a golden image of the model, one of the data set or of the folder, a file, the
// clipboard, the camera, or a drawing.

import { get, send } from "/static/api.js";
import { Button, Camera, Choice, Dialog, Load } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { t } from "/static/texts.js";
import { DrawingBoard } from "./drawing_board.js";
import { TestImages } from "./test_images.js";
import { take, use } from "./image_sources.js";
import { Tiles } from "./tiles.js";

const SOURCES = { examples: Examples, data: TestImages, folder: Folder, file: Upload, camera: Camera, drawing: DrawingBoard };

/** With `onimage(image)` a chosen image goes there, and the model's page shows the one that it showed. */
export class ImageDialog extends Component {
  constructor() {
    super();
    this.state = { source: "examples", trouble: "" };
  }

  componentDidMount() {
    document.addEventListener("paste", this.pasted);
  }

  componentWillUnmount() {
    document.removeEventListener("paste", this.pasted);
  }

  fail = (trouble) => this.setState({ trouble });

  use = (image) => {
    (this.props.onimage || use)(image);
    this.props.close();
  };

  take = async (blob) => {
    if (!blob) return;
    try {
      if (this.props.onimage) this.props.onimage((await send(blob)).image);
      else await take(blob);
      this.props.close();
    } catch (error) { this.fail(error.message); }
  };

  pasted = (event) => {
    const item = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (!item) return;
    event.preventDefault();
    this.take(item);
  };

  render({ model, close }, { source, trouble }) {
    const Source = SOURCES[source];
    return html`<${Dialog} title=${t("chooseImage")} close=${close}>
      <${Choice} legend=${t("from")} name="source" value=${source} hideLegend onchange=${(name) => this.setState({ source: name, trouble: "" })} choices=${Object.keys(SOURCES).map((name) => [name, t(name === "data" ? "model.source.data" : `source.${name}`)])} />
      <p class="error" role="alert">${trouble}</p>
      <div class="sources"><${Source} key=${source} model=${model} use=${this.use} take=${this.take} fail=${this.fail} /></div><//>`;
  }
}

function Examples({ model, use: choose }) {
  return html`<p class="soft">${t("goldenText")}</p>
    <${Tiles} model=${model} use=${choose} tiles=${Array.from({ length: model.golden_images }, (_, n) => ({ image: `golden:${n}`, words: t("example", { n: n + 1 }) }))} />`;
}

function Folder({ model, use: choose }) {
  return html`<${Load} of="folder" from=${() => get("/api/images?start=0")}>${({ images, more, unnamable }) => html`
    ${images.length ? html`<${Tiles} model=${model} use=${choose} tiles=${images.map((name) => ({ image: `file:${name}`, words: name }))} />` : html`<p class="soft">${t("noImages")}</p>`}
    ${more && html`<p class="soft">${t("onlyFirst", { n: images.length })}</p>`}${unnamable > 0 && html`<p class="soft">${t("unnamable", { n: unnamable })}</p>`}`}<//>`;
}

function Upload({ take: give, fail }) {
  const paste = async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((name) => name.startsWith("image/"));
        if (type) { await give(await item.getType(type)); return; }
      }
      fail(t("clipboardEmpty"));
    } catch { fail(t("pasteByKeyOnly")); }
  };
  const dropped = (event) => {
    event.preventDefault();
    event.stopPropagation();
    give(event.dataTransfer.files[0]);
  };
  return html`<div class="drop" ondragover=${(event) => event.preventDefault()} ondrop=${dropped}>
      <label for="file">${t("chooseFile")}</label><input type="file" accept="image/*" id="file" onchange=${(event) => give(event.target.files[0])} />
      <p class="soft">${t("dropOrPaste")}</p><${Button} onclick=${paste}>${t("paste")}<//></div>
    <p class="soft">${t("uploadPrivacy")}</p>`;
}

// The page "model": one model and one image; the prediction at the side, and beside it one tab at a time.

import { askOnce, get } from "/static/api.js";
import { EmptyState, Load, Tabs } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { adopt, inspection, link, roomLink, state } from "/static/state.js";
import { messageText, short, t } from "/static/texts.js";
import { Attribution } from "./attribution.js";
import { Edits } from "./edits.js";
import { keyOf, TimeMachine } from "./epochs.js";
import { take } from "./image_sources.js";
import { Network } from "./network.js";
import { Preprocessing } from "./preprocessing.js";
import { Side } from "./side.js";

const TABS = { preprocessing: Preprocessing, network: Network, attribution: Attribution, edits: Edits };

/** The page of `state`: its model is opened once, and stays until another is named. */
export default function Page({ state: { model } }) {
  if (!model) return html`<div class="page"><h1>${t("pageModel")}</h1><${Load} of="models" from=${() => get("/api/models")}>${({ models }) => html`<${Models} models=${models} />`}<//></div>`;
  return html`<div class="page wide"><${Load} key=${keyOf(model)} of=${model} words=${t("model.opening")} instead=${html`<p><a href=${roomLink("model", { model: "", run: "", image: "" })}>${t("model.chooseOther")}</a></p>`} from=${() => opened(model)}>${(found) => html`<${ModelPage} model=${found} />`}<//></div>`;
}

/** The models of the folder, to choose one. */
function Models({ models }) {
  if (!models.length) return html`<${EmptyState}><p>${t("model.noModels")}</p><p><a href=${roomLink("training")}>${t("pageTraining")}</a></p><//>`;
  return html`<p class="lead">${t("model.choose")}</p><ul class="models">${models.map(({ path, name }) => html`<li class="card" key=${path}><h2><a href=${link({ model: path, image: "golden:0" })}>${name}</a></h2><p class="path soft">${path}</p></li>`)}</ul>`;
}

async function opened(name) {
  const found = await askOnce("/api/model", { model: name });
  if (!state.image) adopt({ image: "golden:0" });
  return found;
}

class ModelPage extends Component {
  componentDidMount() {
    this.componentDidUpdate();
    document.addEventListener("paste", this.pasted);
    document.addEventListener("dragover", this.over);
    document.addEventListener("drop", this.dropped);
  }

  componentWillUnmount() {
    document.removeEventListener("paste", this.pasted);
    document.removeEventListener("dragover", this.over);
    document.removeEventListener("drop", this.dropped);
  }

  componentDidUpdate() {
    document.title = `${this.props.model.name} · muslin studio`;
  }

  over = (event) => event.preventDefault();

  dropped = (event) => {
    event.preventDefault();
    this.take(event.dataTransfer.files[0]);
  };

  pasted = (event) => {
    if (!document.querySelector("dialog[open]")) this.take([...event.clipboardData.files].find((one) => one.type.startsWith("image/")));
  };

  async take(file) {
    if (!file) return;
    try {
      await take(file);
      this.setState({ trouble: null });
    } catch (error) { this.setState({ trouble: error }); }
  }

  render({ model }, { trouble }) {
    const name = state.tab in TABS ? state.tab : "preprocessing", Tab = TABS[name];
    return html`
      <div class="modelhead"><h1>${model.name}</h1><p class="soft">${factsOf(model)}</p><${TimeMachine} model=${model} />
        ${model.unsupported.length > 0 && html`<details class="note"><summary>${t("unsupported")}</summary><ul>${model.unsupported.map((one) => html`<li>${messageText(one)}</li>`)}</ul></details>`}</div>
      <div class="workbench">
        <${Side} model=${model} trouble=${trouble} />
        <div class="stagearea">
          <${Tabs} label=${t("views")} current=${name} tabs=${Object.keys(TABS).map((one) => [one, t(`tab.${one}`), link({ tab: one, layer: "", at: [], channel: 0 })])} />
          <div class="tab"><${Tab} model=${model} named=${inspection()} /></div>
        </div>
      </div>`;
  }
}

const factsOf = (model) => [
  model.network, t("parametersCount", { n: short(model.parameters) }), t("multiplyAddsCount", { n: short(model.multiply_adds) }),
  t("inputSize", { size: `${model.input[1]} × ${model.input[0]}${model.input[2] === 3 ? " RGB" : ""}` }),
].filter(Boolean).join(" · ");

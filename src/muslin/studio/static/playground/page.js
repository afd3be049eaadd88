// The kernel playground: one kernel slides over one image, then ReLU and pooling; every weight can be edited. Computed
// in the page.

import { ask, get, packed } from "/static/api.js";
import { Load } from "/static/components/index.js";
import { html } from "/static/html.js";
import { testImage } from "/static/kernels.js";
import { adopt, state as now } from "/static/state.js";
import { t } from "/static/texts.js";
import { Bench } from "./bench.js";

const MAX_PX = 160; // longest side of the image, so that every pixel stays visible
const TEST_PX = 48;

/** The page of `state`: the image of a model of the folder, or a test image where there is none. */
export default function Page({ state }) {
  return html`<div class="page wide"><h1>${t("playgroundTitle")}</h1><p class="lead">${t("playgroundLead")}</p>
    <${Load} of=${state.model} from=${modelOf}>${(about) => html`<${Load} of=${[about?.path, state.image]} from=${() => imageOrTest(about)}>${(given) => html`<${Bench} about=${about} given=${given} state=${state} />`}<//>`}<//></div>`;
}

/** The model that the address names, or the folder's newest; null without one. The address then names its image. */
async function modelOf() {
  if (!now.model) {
    const newest = await get("/api/models").then(({ models }) => models[0], () => null); // the playground needs none
    if (newest) adopt({ model: newest.path });
  }
  if (now.model && !now.image) adopt({ image: "golden:0" });
  try { return now.model ? await ask("/api/model", { model: now.model }) : null; } catch {
    adopt({ model: "", image: "" });
    return null;
  }
}

/** {rows, columns, planes: [values, …], error}: gray, or red, green and blue. */
async function imageOrTest(about) {
  if (!about) return test();
  try { return await image(); } catch (error) { return { ...test(), error: error.message }; }
}

const test = () => ({ rows: TEST_PX, columns: TEST_PX, planes: [testImage(TEST_PX)] });

async function image() {
  const { header, data } = await packed("/api/pixels", { inspection: { model: now.model, image: now.image }, step: "upright", max_px: MAX_PX });
  const { rows, columns, channels } = header;
  const planes = Array.from({ length: channels }, (_, c) => Float32Array.from({ length: rows * columns }, (__, i) => data[i * channels + c]));
  return { rows, columns, planes };
}

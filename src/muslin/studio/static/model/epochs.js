// The time machine: the same page for the network after each epoch of its run.

import { ButtonLink } from "/static/components/index.js";
import { html } from "/static/html.js";
import { link, set, state } from "/static/state.js";
import { t } from "/static/texts.js";
import { EpochSlider } from "/static/training/epochs.js";

/** The path of the network after an epoch; without one, that of the finished model. */
export const pathAt = ({ run }, epoch) => [run, epoch ? `snapshots/${String(epoch).padStart(4, "0")}.muslin` : "model.muslin"].filter(Boolean).join("/");

/** The models of a run have one key: their page stays while the epoch changes. */
export const keyOf = (path) => path.replace(/snapshots\/\d+\.muslin$/, "model.muslin");

/** A snapshot's own examples are other images than those of the finished model. */
const imageOf = () => (state.image.startsWith("golden:") ? "golden:0" : state.image);

export function TimeMachine({ model: { snapshots } }) {
  if (!snapshots) return null;
  const { epochs, epoch } = snapshots;
  if (epoch === null) return html`<p class="timemachine"><${ButtonLink} href=${link({ model: pathAt(snapshots, epochs.at(-1)), image: imageOf() })}>${t("model.openEpochs")}<//></p>`;
  return html`<div class="timemachine"><${EpochSlider} snapshots=${epochs} epoch=${epoch} choose=${(one) => set({ model: pathAt(snapshots, one || epochs.at(-1)) })} />
    <a href=${link({ model: pathAt(snapshots), image: imageOf() })}>${t("model.finished")}</a></div>`;
}

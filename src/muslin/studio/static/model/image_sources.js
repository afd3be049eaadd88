// Where images come from, and what is done with one that was chosen.

import { send } from "/static/api.js";
import { announce } from "/static/dom.js";
import { set } from "/static/state.js";
import { messageText, t } from "/static/texts.js";

export const thumbnail = (model, image, side) => `/api/thumbnail?${new URLSearchParams({ model, image, side })}`;

/** Show another image, without the changes of the one before. */
export function use(image) {
  set({ image, image_edits: {}, steps: {} }, true);
}

/** Upload a file that was chosen, dropped or pasted, and show it. The server decodes it. */
export async function take(blob) {
  const { image, notes } = await send(blob);
  use(image);
  announce([t("imageUploaded"), ...notes.map(messageText)].join(". "));
}

/** Base64 for links (RFC 4648, section 5), without padding. */
export const base64url = (values) => btoa(String.fromCharCode(...values)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

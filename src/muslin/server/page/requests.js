// Requests of the page to its server. A full server is asked again, not before its Retry-After.

import { language, messageText, t } from "./texts.js";

const MAX_ATTEMPTS = 8;
const WAIT_MS = 500; // where the server does not say how long
const TOKEN = "muslin-serve-token";

export function storedToken() {
  try { return sessionStorage.getItem(TOKEN) || ""; } catch { return ""; }
}

/** Keep the token for as long as the tab is open. */
export function storeToken(token) {
  try { sessionStorage.setItem(TOKEN, token); } catch { /* it is asked for again */ }
}

async function once(path, options) {
  const token = storedToken(), headers = { "accept-language": language, ...(token && { authorization: `Bearer ${token}` }) };
  try { return await fetch(new URL(path, document.baseURI), { ...options, headers }); } catch {
    throw Object.assign(new Error(t("try.noServer")), { status: 0 });
  }
}

const pause = (response) => new Promise((wake) => {
  const seconds = Number(response.headers.get("retry-after"));
  setTimeout(wake, seconds > 0 ? 1000 * seconds : WAIT_MS);
});

/** The response's JSON, or an error with the server's words and its `status`. */
async function answered(path, options) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await once(path, options);
    if ([429, 503].includes(response.status) && attempt < MAX_ATTEMPTS) { await pause(response); continue; }
    if (response.ok) return response.json();
    let text = `${response.status} ${response.statusText}`;
    try { text = messageText((await response.json()).error); } catch { /* not JSON: only the status is known */ }
    throw Object.assign(new Error(text), { status: response.status });
  }
}

export const models = async () => (await answered("v1/models", {})).models;

/** The server's requests, as an OpenAPI document. */
export const description = () => answered("openapi.json", {});

/** The prediction for files, of one product where they are `together`: {model, digest, result, ms}. */
export async function predict(files, { model, precision, together }) {
  const form = new FormData(), query = new URLSearchParams();
  for (const file of files) form.append(together ? "product[1]" : "image", file, file.name || "image");
  if (model) query.set("model", model);
  if (precision) query.set("precision", precision);
  const began = performance.now();
  const answer = await answered(`v1/predict?${query}`, { method: "POST", body: form });
  return { model: answer.model, digest: answer.digest, result: answer.results[0], ms: performance.now() - began };
}

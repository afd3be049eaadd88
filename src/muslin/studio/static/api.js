// Requests to the server; the responses that are used again are cached.

import { language, messageText, t } from "/static/texts.js";

let token = document.querySelector("meta[name=muslin-token]").content;

/** The response, or an error with the server's message, its `code`, `params` and `status`; status 0: there is no connection. */
async function checked(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error(t("noServer")), { status: 0 });
  }
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`, code = "", params = {};
  try {
    const message = await response.json();
    text = messageText(message);
    ({ code, params } = message);
  } catch { /* not JSON: only the status is known */ }
  throw Object.assign(new Error(text), { status: response.status, code, params });
}

export async function get(path) {
  return (await checked(fetch(path, { headers: { "accept-language": language } }))).json();
}

async function posted(path, body, type, signal) {
  const once = () => checked(fetch(path, { method: "POST", body, signal, headers: { "accept-language": language, "content-type": type, "x-muslin-token": token } }));
  try { return await once(); } catch (error) {
    if (error.code !== "token_outdated" || !(await renewToken())) throw error;
    return once();
  }
}

/** The token of a server that was started again on this address since the page was loaded; false where it is the same. */
async function renewToken() {
  const before = token, page = await (await checked(fetch("/"))).text();
  token = new DOMParser().parseFromString(page, "text/html").querySelector("meta[name=muslin-token]")?.content || token;
  return token !== before;
}

export async function ask(path, body, signal) {
  const key = keyOf(path, body), begun = ahead.get(key);
  ahead.delete(key);
  return begun ?? (await posted(path, JSON.stringify(body), "application/json", signal)).json();
}

/** Ask for something while the page is being left: the browser sends it, and nobody waits for the response. */
export function askOnLeaving(path, body) {
  const headers = { "accept-language": language, "content-type": "application/json", "x-muslin-token": token };
  fetch(path, { method: "POST", body: JSON.stringify(body), keepalive: true, headers }).catch(() => {});
}

const ahead = new Map();
const keyOf = (path, body) => language + path + JSON.stringify(body);

/** Ask now for what a page will `ask` for once, as soon as its modules are there. */
export function askAhead(path, body) {
  const response = ask(path, body);
  response.catch(() => {}); // the page that asks for it gets the error
  ahead.clear(); // what another page did not wait for
  ahead.set(keyOf(path, body), response);
}

export async function askBytes(path, body, signal) {
  return (await posted(path, JSON.stringify(body), "application/json", signal)).arrayBuffer();
}

/** Send bytes. */
export async function sendBytes(path, blob, signal) {
  return (await posted(path, blob, "application/octet-stream", signal)).json();
}

/** Upload an image's file; the response names it. */
export async function send(blob) {
  return (await posted("/api/images", blob, "application/octet-stream")).json();
}

const CACHE_SIZE = 80; // responses: the feature maps of one network, and a few tables
const cache = new Map();

/** `ask` or `askBytes` with a cache of the last responses. Errors are not cached. */
function cached(how) {
  return (path, body) => {
    const key = keyOf(path, body);
    let found = cache.get(key);
    if (found) cache.delete(key);
    else {
      found = how(path, body);
      found.catch(() => cache.delete(key));
    }
    cache.set(key, found);
    if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value);
    return found;
  };
}

export const askOnce = cached(ask);
const bytesOnce = cached(askBytes);
const parsed = new WeakMap();

const ARRAYS = { float32: Float32Array, int32: Int32Array };

/** {header, data}: a JSON header and an array, as the server packs them. */
function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, data: new (ARRAYS[header.dtype] || Uint8Array)(buffer, 4 + length) };
}

/** A header and an array, from the cache if they were asked for before. */
export async function packed(path, body) {
  const buffer = await bytesOnce(path, body);
  if (!parsed.has(buffer)) parsed.set(buffer, unpacked(buffer));
  return parsed.get(buffer);
}

/** The same of what can have changed since it was asked for. */
export const packedNow = async (path, body) => unpacked(await askBytes(path, body));

let busy = 0;
const queue = [];

/** At most three at a time, so that a person's next request does not wait for a page full of thumbnails. */
export function inTurn(job) {
  return new Promise((resolve, reject) => {
    queue.push(async () => {
      busy += 1;
      try { resolve(await job()); } catch (error) { reject(error); } finally {
        busy -= 1;
        if (queue.length) queue.shift()();
      }
    });
    if (busy < 3) queue.shift()();
  });
}

// Asking the server; each sheet and table is asked for once.

import { language } from "/static/texts.js";

const token = document.querySelector("meta[name=muslin-token]").content;

/** What the server could not do; the message is one sentence for a person. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The studio does not answer. Is `muslin studio` still running?", 0);
  }
  if (response.ok) return response;
  let sentence = `${response.status} ${response.statusText}`;
  try { sentence = (await response.json()).error || sentence; } catch { /* not JSON: the status has to do */ }
  throw new Refused(sentence, response.status);
}

export async function get(path) {
  return (await answered(fetch(path, { headers: { "accept-language": language } }))).json();
}

function posted(path, body, type, signal) {
  return answered(fetch(path, { method: "POST", body, signal, headers: { "content-type": type, "x-muslin-token": token, "accept-language": language } }));
}

export async function ask(path, body, signal) {
  return (await posted(path, JSON.stringify(body), "application/json", signal)).json();
}

export async function askBytes(path, body, signal) {
  return (await posted(path, JSON.stringify(body), "application/json", signal)).arrayBuffer();
}

/** An image's file, as bytes; the answer names it. */
export async function send(blob) {
  return (await posted("/api/images", blob, "application/octet-stream")).json();
}

const KEPT = 80;
const kept = new Map();

/** `ask` or another asking function, remembering the last answers. A refusal is not remembered. */
function once(how) {
  return (path, body) => {
    const key = language + path + JSON.stringify(body);
    let found = kept.get(key);
    if (found) kept.delete(key);
    else {
      found = how(path, body);
      found.catch(() => kept.delete(key));
    }
    kept.set(key, found);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return found;
  };
}

export const askOnce = once(ask);
const bytesOnce = once(askBytes);
const parsed = new WeakMap();

/** {header, data}: a JSON header and an array of numbers, as the server packs them. */
export async function packed(path, body) {
  const buffer = await bytesOnce(path, body);
  if (!parsed.has(buffer)) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const data = header.dtype === "float32" ? new Float32Array(buffer, 4 + length) : new Uint8Array(buffer, 4 + length);
    parsed.set(buffer, { header, data });
  }
  return parsed.get(buffer);
}

let busy = 0;
const queue = [];

/** Not more than three at a time, so that what a person asks for next need not wait for a page full of thumbnails. */
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

// The import of dropped files: it goes on while other pages are open. Files are sent in pieces, read from the disk as they
// are sent, so that neither 32,000 photos nor a zip of gigabytes fills the memory.

import { ask, sendBytes } from "/static/api.js";
import { announce } from "/static/dom.js";
import { t } from "/static/texts.js";

const BATCH_BYTES = 8_000_000;
const BATCH_FILES = 500;
const AT_ONCE = 2; // requests
const SLICE_MS = 20; // of work, after which the page reacts
const ATTEMPTS = 20; // of one request, while the studio is started again
const WAIT_MS = 1000;
const NAMES_OF_A_KIND = 200; // that the server is told of, to name a few

/** What the page shows: {phase, name, sent, bytes, files, notes, error, result}; null where nothing is imported. */
export let current = null;
const watchers = new Set();

export function watchImport(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function show(changes) {
  current = changes && { ...current, ...changes };
  for (const watcher of [...watchers]) watcher(current);
}

export const dismiss = () => show(null);
export const isImporting = () => current?.phase === "sending" || current?.phase === "finishing";

addEventListener("beforeunload", (event) => { if (isImporting()) event.preventDefault(); });

/** Import files, [{path, file}]. Returns what the server says of the finished import, or null where it failed. */
export async function importFiles(files, name = nameOf(files)) {
  if (isImporting()) return null;
  show({ phase: "sending", name, sent: 0, bytes: 0, files: files.length, notes: [], error: null, result: null });
  try {
    const { wanted, notes } = await ask("/api/imports/check", { names: namesByKind(files) });
    const kept = withoutTop(files).filter(({ path }) => wanted.includes(kindOf(path)));
    show({ notes: notes.map((message) => ({ message, count: 1 })) });
    if (!kept.length) { show({ phase: "refused" }); return null; }
    return await sendAll(kept, name);
  } catch (error) {
    show({ phase: "failed", error });
    return null;
  }
}

async function sendAll(files, wantedName) {
  let bytes = 0, there = 0;
  const missing = [];
  await inSlices(files, ({ file }) => { bytes += file.size; });
  const { name, done } = await ask("/api/imports/start", { name: wantedName, files: files.length, bytes });
  await inSlices(files, (one) => { if (same(done[one.path], one.file)) there += one.file.size; else missing.push(one); });
  show({ name, bytes, files: files.length, sent: there });
  const waiting = batches(missing), unread = [];
  const work = async () => { for (let batch = waiting.next(); !batch.done; batch = waiting.next()) await sendBatch(name, batch.value, unread); };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  show({ phase: "finishing" });
  const result = await ask("/api/imports/finish", { name });
  const notes = [...current.notes, ...result.notes, ...(unread.length ? [{ message: t("import.unread", { names: unread.slice(0, 3).join(", ") }), count: unread.length }] : [])];
  show({ phase: "done", result, notes });
  announce(t("import.done", { name }));
  return result;
}

/** `work` on each of thousands of files, with pauses in which the page reacts: the size of each is asked of the system. */
async function inSlices(files, work) {
  let pauseAt = performance.now() + SLICE_MS;
  for (const one of files) {
    if (performance.now() > pauseAt) {
      await new Promise((wake) => { setTimeout(wake); });
      pauseAt = performance.now() + SLICE_MS;
    }
    work(one);
  }
}

const same = (done, file) => done && done[0] === file.size && done[1] === seconds(file);
const seconds = (file) => Math.floor((file.lastModified || 0) / 1000);

/** Groups of pieces: many small files, or a part of a large one. The pieces of one file follow each other in one group. */
function* batches(files) {
  let batch = [], size = 0;
  for (const { path, file } of files) {
    if (size + file.size > BATCH_BYTES || batch.length >= BATCH_FILES) {
      if (batch.length) yield [batch];
      batch = [];
      size = 0;
    }
    if (file.size > BATCH_BYTES) { yield pieces(path, file); continue; }
    batch.push({ path, file, offset: 0, length: file.size });
    size += file.size;
  }
  if (batch.length) yield [batch];
}

function pieces(path, file) {
  return Array.from({ length: Math.ceil(file.size / BATCH_BYTES) }, (_, n) => {
    const offset = n * BATCH_BYTES;
    return [{ path, file, offset, length: Math.min(BATCH_BYTES, file.size - offset) }];
  });
}

async function sendBatch(name, requests, unread) {
  for (const parts of requests) {
    let left = parts;
    for (let attempt = 1; left.length; attempt += 1) {
      try {
        await sendBytes("/api/imports/add", await packed(name, left));
        break;
      } catch (error) {
        if (error.status !== 0 || attempt >= ATTEMPTS) throw error;
        const readable = await Promise.all(left.map(canBeRead));
        unread.push(...left.filter((_, n) => !readable[n]).map(({ path }) => path));
        if (readable.every(Boolean)) await new Promise((wake) => { setTimeout(wake, WAIT_MS); });
        left = left.filter((_, n) => readable[n]);
      }
    }
    show({ sent: current.sent + parts.reduce((sum, part) => sum + part.length, 0) });
  }
}

/** Whether a file is still there: a request with one that is not fails as one without a connection does. */
async function canBeRead({ file }) {
  try { await file.slice(0, 1).arrayBuffer(); return true; } catch { return false; }
}

async function packed(name, parts) {
  const rows = [], contents = [];
  await inSlices(parts, ({ path, file, offset, length }) => {
    rows.push({ path, offset, length, size: file.size, modified: seconds(file) });
    contents.push(file.slice(offset, offset + length));
  });
  const header = new TextEncoder().encode(JSON.stringify({ name, parts: rows }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, header.length, true);
  return new Blob([length, header, ...contents]);
}

/** ".jpg"; MNIST's files end with "-ubyte" instead. */
const kindOf = (path) => /(\.tar\.gz|\.[^./]+|-ubyte)$/i.exec(path)?.[1].toLowerCase().replace(".tar.gz", ".gz") || "";

function namesByKind(files) {
  const found = Object.create(null);
  for (const { path } of files) {
    const names = found[kindOf(path)] ??= [];
    if (names.length < NAMES_OF_A_KIND) names.push(path);
  }
  return Object.fromEntries(Object.entries(found).slice(0, 200));
}

const topOf = (path) => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "");

/** The folder that holds all files, if there is one. */
function commonTop(files) {
  const top = topOf(files[0].path);
  return top && files.every(({ path }) => topOf(path) === top) ? top : "";
}

function withoutTop(files) {
  const top = commonTop(files);
  return top ? files.map(({ path, file }) => ({ path: path.slice(top.length + 1), file })) : files;
}

function nameOf(files) {
  if (files.length === 1) return files[0].path.split("/").pop().replace(/(\.tar)?\.[^.]+$/, "") || "images";
  return commonTop(files) || "images";
}

// What was recorded, for as long as the page is open: classes with their frames. Leaving the page keeps them.

import { startJob } from "/static/jobs.js";
import { dismiss, importFiles } from "/static/home/importing.js";

const LEAST_FRAMES = 8; // of a class, so that some are left to validate and to test with
const HONEST_RECORDINGS = 3; // of each class: one each to train, to validate and to test with

let number = 0;
const emptyClass = (name) => ({ id: ++number, name, frames: [], recordings: 0 });

/** {classes: [{id, name, frames: [{blob, url, recording}], recordings}], job, model}. */
export const session = { classes: [], job: null, model: "", imported: "" };

export const addClass = (name) => { session.classes.push(emptyClass(name)); };

export function removeFrames(one) {
  for (const frame of one.frames) URL.revokeObjectURL(frame.url);
  one.frames = [];
  one.recordings = 0;
}

export function removeClass(one) {
  removeFrames(one);
  session.classes = session.classes.filter((other) => other !== one);
}

export const addFrame = (one, blob) => one.frames.push({ blob, url: URL.createObjectURL(blob), recording: one.recordings });

const nameOf = (one) => one.name.trim();

/** What is missing before training: a key of the texts and its values, or null. */
export function missing() {
  const { classes } = session, names = classes.map(nameOf);
  if (classes.length < 2) return ["camera.needClasses", {}];
  if (names.some((name) => !name) || new Set(names).size < names.length) return ["camera.needNames", {}];
  const few = classes.find((one) => one.frames.length < LEAST_FRAMES);
  return few ? ["camera.needFrames", { name: few.name, n: LEAST_FRAMES }] : null;
}

/** Whether the test set can be recordings that the model has not seen. */
export const isHonest = () => session.classes.every((one) => one.recordings >= HONEST_RECORDINGS);

/** Save the frames as a data set with a table, and train the linear probe on it. */
export async function train() {
  const result = await importFiles(files(), "camera");
  if (!result) return; // the page shows why
  dismiss();
  session.imported = `${result.data}/images.csv`;
  const read_options = { target: "label", group: isHonest() ? "recording" : "none" };
  session.job = (await startJob("train", { data: session.imported, recipe: "photo", read_options })).id;
  session.model = "";
}

function files() {
  const rows = ["image,label,recording"], found = [];
  session.classes.forEach((one, n) => one.frames.forEach(({ blob, recording }, i) => {
    const path = `${n + 1}/${String(recording).padStart(2, "0")}-${String(i + 1).padStart(4, "0")}.jpg`;
    found.push({ path, file: new File([blob], path, { lastModified: Date.now() }) });
    rows.push([path, nameOf(one), `${nameOf(one)} ${recording}`].map(quoted).join(","));
  }));
  found.push({ path: "images.csv", file: new File([rows.join("\n") + "\n"], "images.csv", { lastModified: Date.now() }) });
  return found;
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

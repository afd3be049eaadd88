// What a learner answered, kept in this browser for each model. The lab sheet is made of it.

const nameOf = (model) => `muslin-walk ${model}`;
const inMemory = new Map(); // where the browser keeps nothing

export function allAnswers(model) {
  try { return JSON.parse(localStorage.getItem(nameOf(model))) || inMemory.get(model) || {}; } catch { return inMemory.get(model) || {}; }
}

function keep(model, answers) {
  inMemory.set(model, answers);
  try { localStorage.setItem(nameOf(model), JSON.stringify(answers)); } catch { /* the page works all the same, until it is closed */ }
}

/** Forget everything that was answered about a model. */
export function forget(model) {
  inMemory.delete(model);
  try { localStorage.removeItem(nameOf(model)); } catch { /* nothing was kept */ }
}

export const isDone = (model, step) => Boolean(allAnswers(model)[step]?.rows?.length);

export function putWho(model, who) {
  keep(model, { ...allAnswers(model), who });
}

/**
 * The answers of one step: get(name), put({name: value}), and record(rows, images), which says that the step is done.
 * `rows`: [[key of a text, its values]]; `images`: [[name of an image, key of a text, its values]].
 */
export function stepAnswers(model, step, changed) {
  const put = (changes) => {
    const all = allAnswers(model);
    keep(model, { ...all, [step]: { ...all[step], ...changes } });
    changed();
  };
  return { get: (name) => allAnswers(model)[step]?.[name], put, record: (rows, images = [], more = {}) => put({ rows, images, ...more }) };
}

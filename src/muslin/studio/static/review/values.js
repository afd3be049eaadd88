// Values of a target: a class, or an array of labels in the target's order.

/** The labels of a value. */
export const labelsOf = (value) => (value === null || value === undefined ? [] : Array.isArray(value) ? value : [value]);

/** The value of labels. */
export function valueOf(target, labels) {
  const ordered = target.classes.filter((name) => labels.includes(name));
  return target.kind === "multiclass" ? ordered[0] : ordered;
}

export const sameValue = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The labels for reading, such as "cotton + red"; `none` where there are none. */
export const textOf = (value, none) => labelsOf(value).join(" + ") || none;

/** How many of a page's decisions confirm what is predicted, and how many say something else. */
export function summaryOf(decisions) {
  const is = (kind) => decisions.filter((one) => one.kind === kind).length;
  const corrected = decisions.filter((one) => one.kind === "value" && !sameValue(one.value, one.shown.value)).length;
  return { n: decisions.length, confirmed: is("value") - corrected, corrected, not_sure: is("not_sure"), not_ours: is("not_ours") };
}

/** Classes that a product may have instead of the predicted one, the likeliest first. */
export function alternatives(item, corrections, count) {
  const often = Object.entries(corrections[textOf(item.value)] || {}).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  return [...new Set([...item.candidates, ...often])].filter((name) => !labelsOf(item.value).includes(name)).slice(0, count);
}

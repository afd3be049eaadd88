// The texts of a language: the server joins the tables of the rooms, texts/en/*.json and texts/zh/*.json.

const LANGUAGES = { en: "English", zh: "简体中文" };
export { LANGUAGES };

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

let texts = {};
export let language = "en";

export async function loadLanguage(preferred) {
  language = LANGUAGES[preferred] ? preferred : (navigator.language || "en").startsWith("zh") ? "zh" : "en";
  texts = await (await fetch(new URL(`./texts/${language}.json`, import.meta.url))).json();
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
}

/** The text of `key`, with {name} replaced. */
export function t(key, values) {
  const text = texts[key];
  if (text === undefined) return key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? isolated(values[name]) : whole)) : text;
}

/** A name that is written from right to left, so that it does not reorder the sentence around it. */
const isolated = (value) => (RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

/** The text of `key` with a count as {n}; `key.one` is that of exactly one. */
export const tn = (key, n, values) => t(n === 1 && `${key}.one` in texts ? `${key}.one` : key, { n: count(n), ...values });

/** The text of `key`, or another one where there is none. */
export function tOr(key, otherwise, values) {
  return key in texts ? t(key, values) : otherwise;
}

/** Sentences one after the other; what is empty is left out. */
export const sentences = (...parts) => parts.filter(Boolean).join(language === "zh" ? "" : " ");

/** Names in a row. */
export const listed = (names) => names.join(language === "zh" ? "、" : ", ");

/** The text of a server's message with its hint; the server has put both in the page's language. */
export const messageText = (message) => (typeof message === "string" ? message : sentences(message.message, message.hint));

export const count = (n) => n.toLocaleString(language);
export const percent = (p, digits = 1) => `${(100 * p).toFixed(digits)}\u00a0%`;

/** A value with as many digits as it needs, a true minus, and no e-notation for usual sizes. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size >= 1e6 || size < 1e-4) text = value.toExponential(2);
  else text = Number(value.toPrecision(digits)).toString();
  return text.replace("-", "−");
}

export const signed = (value, digits = 3) => (value > 0 ? "+" : "") + number(value, digits);

export function bytes(n) {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(n / 1e3))} KB`;
}

/** 407 M multiply-adds, 60.7 k parameters. */
export function short(n) {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)} k`;
  return count(n);
}

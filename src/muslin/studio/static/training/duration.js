// Times that a person waits, in the page's language.

import { t } from "/static/texts.js";

/** 40 s, 5 min, 1 h 20 min. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return t("training.seconds", { n: s });
  const minutes = Math.round(s / 60);
  if (minutes < 90) return t("training.minutes", { n: minutes });
  return t("training.hours", { h: Math.floor(minutes / 60), n: minutes % 60 });
}

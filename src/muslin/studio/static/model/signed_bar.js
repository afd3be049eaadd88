// A bar to the right for what is positive, to the left and hatched for what is negative.

import { classes, html } from "/static/html.js";

export function SignedBar({ value, max, isPositive = false }) {
  const part = max ? Math.min(Math.abs(value) / max, 1) : 0;
  const style = isPositive ? { left: "0", width: `${100 * part}%` } : value < 0 ? { right: "50%", left: "auto", width: `${50 * part}%` } : { left: "50%", right: "auto", width: `${50 * part}%` };
  return html`<span class=${classes("signedbar", isPositive && "one")} aria-hidden="true"><i class=${value < 0 ? "negative" : "positive"} style=${style}></i></span>`;
}

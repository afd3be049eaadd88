// Views of one page as links: each is an address.

import { html } from "../html.js";

/** `tabs`: [[name, words, href], …]; `current` is the name of the one that is shown. */
export function Tabs({ label, tabs, current }) {
  return html`<nav class="tabs" aria-label=${label}><ul>${tabs.map(([name, words, href]) => html`
    <li key=${name}><a href=${href} aria-current=${name === current ? "page" : null}>${words}</a></li>`)}</ul></nav>`;
}

// Preact and htm: elements from templates, updated in place. Both are as npm holds them; see ../vendor.

import { Component, createRef, h, render } from "/static/vendor/preact.js";
import htm from "/static/vendor/htm.js";

export const html = htm.bind(h);
export { Component, createRef, render };

// Preact and htm: elements from templates, updated in place. Both are as npm holds them; see vendor/.

import { Component, Fragment, createRef, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { Component, Fragment, createRef, render };

/** Class names from what holds: classes("tile", isOpen && "open"). */
export const classes = (...names) => names.filter(Boolean).join(" ") || null;

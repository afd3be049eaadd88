// An image that a response holds.

import { Component, classes, html } from "/static/html.js";

/** An image that came as a data URI; the content security policy allows only blobs. */
export class DataImage extends Component {
  componentWillUnmount() {
    URL.revokeObjectURL(this.address);
  }

  addressOf(data) {
    if (data === this.shown) return this.address;
    URL.revokeObjectURL(this.address);
    this.shown = data;
    const bytes = Uint8Array.from(atob(data.slice(data.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
    this.address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    return this.address;
  }

  render({ data, alt, isSmall, class: more, ...rest }) {
    return html`<img src=${this.addressOf(data)} alt=${alt} class=${classes(isSmall && "small", more)} ...${rest} />`;
  }
}

// A canvas as a part of a page.

import { Component, createRef, html } from "/static/html.js";

/** `paint(canvas)` is called at first, and again where `of` is another object. The rest are attributes. */
export class Canvas extends Component {
  constructor() {
    super();
    this.element = createRef();
  }

  componentDidMount() {
    this.props.paint(this.element.current);
  }

  componentDidUpdate(before) {
    if (before.of !== this.props.of) this.props.paint(this.element.current);
  }

  render({ of, paint, ...rest }) {
    return html`<canvas ...${rest} ref=${this.element}></canvas>`;
  }
}

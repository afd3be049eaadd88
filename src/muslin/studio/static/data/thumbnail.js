// One image of a sheet, on a canvas of its own.

import { Component, createRef, html } from "/static/html.js";

/** The image at `position` in the order of `sheets`. */
export class Thumbnail extends Component {
  constructor() {
    super();
    this.canvas = createRef();
    this.state = { error: "" };
    this.said = "";
  }

  componentDidMount() { this.draw(); }

  componentDidUpdate(before) {
    if (before.position !== this.props.position || before.sheets !== this.props.sheets) this.draw();
  }

  draw() {
    const { sheets, position } = this.props, canvas = this.canvas.current;
    canvas.position = position;
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    this.say("");
    sheets.draw(canvas, position, (error) => this.say(error));
  }

  say(error) {
    if (error === this.said) return;
    this.said = error;
    this.setState({ error });
  }

  render(props, { error }) {
    return html`<canvas ref=${this.canvas} class="thumbnail" width="1" height="1" hidden=${Boolean(error)} aria-hidden="true"></canvas>
      ${error && html`<span class="missing">${error}</span>`}`;
  }
}

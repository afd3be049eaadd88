// A grid of images of a data set with their labels: what is selected, decided and excluded.

import { ImageGrid } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { t } from "/static/texts.js";
import { Sheets } from "./sheets.js";
import { Thumbnail } from "./thumbnail.js";

export const SIDE = { small: 64, medium: 112, large: 168 };

/** `order`: indices of images; `session`: see session.js. `onkey(event)` gets the keys that the grid does not take. */
export class PhotoGrid extends Component {
  constructor(props) {
    super(props);
    this.grid = createRef();
    this.remake(props);
  }

  remake({ session, order, size }) {
    this.sheets?.close();
    this.sheets = new Sheets(session.about, order, Math.min(256, SIDE[size] * Math.min(2, Math.ceil(globalThis.devicePixelRatio || 1))));
  }

  componentWillUpdate(next) {
    if (next.order !== this.props.order || next.size !== this.props.size || next.session !== this.props.session) this.remake(next);
  }

  componentWillUnmount() { this.sheets.close(); }

  focus() { this.grid.current?.focus(); }

  view = (first, end) => {
    this.sheets.wanted(first, end);
    this.props.session.needRows(Array.from(this.props.order.subarray(first, end)));
  };

  select = (position, how) => {
    this.props.session.select(this.props.order, position, how);
  };

  render({ session, order, size, label, onopen, id }) {
    const current = session.position(order), { selected } = session;
    const words = (position) => session.wordsOf(order[position], position);
    return html`<${ImageGrid} ref=${this.grid} id=${id} class="photogrid" count=${order.length} label=${label} side=${SIDE[size]} gap=${6}
      image=${(position) => html`<${Thumbnail} sheets=${this.sheets} position=${position} />${session.signsOf(order[position]).map(([sign, name]) => html`<span class=${`sign ${name}`} title=${t(`data.sign.${name}`)}>${sign}</span>`)}`}
      words=${words} caption=${(position) => session.captionOf(order[position])} current=${current}
      selected=${{ has: (position) => selected.has(order[position]) }}
      onmove=${(position, how) => this.select(position, { move: true, ...how })} onselect=${this.select} onopen=${onopen} onview=${this.view} />`;
  }
}

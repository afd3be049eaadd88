// Any number of images as a grid that is drawn only where it is seen. One tab stop; arrows move inside.

import { Component, classes, createRef, html } from "/static/html.js";

const MARGIN_ROWS = 3; // drawn above and below what is seen
const LABEL_PX = 24; // the line under an image
const MAX_HEIGHT_PX = 8_000_000; // browsers draw no element of more than some 16 million px

/**
 * `count` images of `side` px. `image(index)` gives what is drawn in a cell, `words(index)` its name for a screen
 * reader, `caption(index)` the line under it (optional). An element that scrolls out of sight is given another image.
 * `current` is the index with the focus, `selected` a Set of indices. Events: `onmove(index, {extend})` when the focus
 * moves, `onopen(index)` for Enter and a double click, `onselect(index, {extend, toggle})` for a click and Space,
 * `onview(first, end)` when other images come into sight.
 */
export class ImageGrid extends Component {
  constructor() {
    super();
    this.element = createRef();
    this.state = { top: 0, width: 0, height: 0 };
  }

  componentDidMount() {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.element.current);
    this.measure();
    this.reveal();
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  componentDidUpdate(before, earlier) {
    if (before.current !== this.props.current || before.count !== this.props.count || !earlier.width) this.reveal();
    const [first, end] = this.range;
    if (this.viewed !== `${first}-${end}-${this.props.count}`) {
      this.viewed = `${first}-${end}-${this.props.count}`;
      this.props.onview?.(first, end);
    }
  }

  measure() {
    const { clientWidth: width, clientHeight: height, scrollTop: top } = this.element.current;
    const isSameRow = this.rowAt(top) === this.topRow; // within a row nothing is drawn anew
    if (width !== this.state.width || height !== this.state.height || !isSameRow) this.setState({ width, height, top });
  }

  get gap() { return this.props.gap ?? 8; }
  get columns() { return Math.max(1, Math.floor((this.state.width + this.gap) / (this.props.side + this.gap))); }
  get rowHeight() { return this.props.side + this.gap + (this.props.caption ? LABEL_PX : 0); }
  get rows() { return Math.ceil(this.props.count / this.columns); }
  get height() { return Math.min(MAX_HEIGHT_PX, this.rows * this.rowHeight); }

  /** The first row in sight: at great heights, a pixel of the scroll bar is more than a pixel of the grid. */
  get topRow() { return this.rowAt(this.state.top); }

  rowAt(top) {
    const hidden = this.height - this.state.height;
    const scale = hidden > 0 ? Math.max(1, (this.rows * this.rowHeight - this.state.height) / hidden) : 1;
    return Math.floor((top * scale) / this.rowHeight);
  }

  get drawnRows() { return Math.ceil(this.state.height / this.rowHeight) + 2 * MARGIN_ROWS + 1; }

  get range() {
    const first = Math.max(0, this.topRow - MARGIN_ROWS), rows = this.drawnRows;
    return [Math.min(first * this.columns, this.props.count), Math.min((first + rows) * this.columns, this.props.count)];
  }

  /** The place of a row: exact where the grid fits into an element, else relative to what is in sight. */
  topOf(row) {
    return this.height === this.rows * this.rowHeight ? row * this.rowHeight : this.state.top + (row - this.topRow) * this.rowHeight;
  }

  reveal() {
    const { current, count } = this.props;
    if (!(current >= 0) || current >= count || !this.state.width) return;
    const row = Math.floor(current / this.columns), seen = Math.max(1, Math.floor(this.state.height / this.rowHeight));
    if (row >= this.topRow + (this.element.current.scrollTop > this.topRow * this.rowHeight ? 1 : 0) && row < this.topRow + seen) return;
    const wanted = row < this.topRow + 1 ? row : row - seen + 1, hidden = this.rows * this.rowHeight - this.state.height;
    const scale = hidden > 0 ? (this.height - this.state.height) / hidden : 1;
    this.element.current.scrollTop = Math.max(0, wanted * this.rowHeight * Math.min(1, scale));
  }

  focus() {
    this.element.current.focus({ preventScroll: true });
  }

  keydown = (event) => {
    const { count, current, onmove, onopen, onselect } = this.props;
    if (event.ctrlKey || event.metaKey || event.altKey || !count) return;
    const at = Math.max(0, current ?? 0), row = this.columns, page = row * Math.max(1, Math.floor(this.state.height / this.rowHeight));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row, PageUp: Math.max(0, at - page), PageDown: Math.min(count - 1, at + page), Home: 0, End: count - 1 }[event.key];
    if (to !== undefined) { if (to >= 0 && to < count) onmove?.(to, { extend: event.shiftKey }); }
    else if (event.key === "Enter" && onopen) onopen(at);
    else if (event.key === " " && onselect) onselect(at, { extend: event.shiftKey, toggle: true });
    else return;
    event.preventDefault();
  };

  render({ count, label, side, image, words, caption, current, selected, onopen, onselect, onmove, class: more }) {
    const [first, end] = this.range, id = (index) => `${this.props.id || "grid"}-${index}`;
    const cells = [], elements = this.drawnRows * this.columns;
    for (let index = first; index < end; index += 1) {
      const style = { left: `${(index % this.columns) * (side + this.gap)}px`, top: `${this.topOf(Math.floor(index / this.columns))}px`, width: `${side}px` };
      cells.push(html`<div key=${index % elements} id=${id(index)} role="option" class=${classes("cell", index === current && "current", selected?.has(index) && "selected")} style=${style}
        aria-label=${words(index)} aria-selected=${Boolean(selected?.has(index))} aria-setsize=${count} aria-posinset=${index + 1}
        onclick=${(event) => { this.focus(); (onselect || onmove)?.(index, { extend: event.shiftKey, toggle: event.ctrlKey || event.metaKey }); }} ondblclick=${() => onopen?.(index)}>
        <div class="cellimage" style=${{ width: `${side}px`, height: `${side}px` }}>${image(index)}</div>${caption && html`<div class="cellcaption">${caption(index)}</div>`}</div>`);
    }
    const isDrawn = current >= first && current < end;
    return html`<div class=${classes("imagegrid", more)} ref=${this.element} role="listbox" tabindex="0" aria-label=${label} aria-multiselectable=${Boolean(onselect)}
      aria-activedescendant=${isDrawn ? id(current) : null} onscroll=${() => this.measure()} onkeydown=${this.keydown}>
      <div class="gridspace" role="presentation" style=${{ height: `${this.height}px` }}>${cells}</div></div>`;
  }
}

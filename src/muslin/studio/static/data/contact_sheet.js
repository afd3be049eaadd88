// The contact sheet: any number of images, filtered and sorted, with what can be decided on the selected ones.

import { EmptyState, ErrorNotice } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { same, set } from "/static/state.js";
import { t, tn } from "/static/texts.js";
import { ComparingJob } from "./comparing_job.js";
import { Details, sampleName } from "./details.js";
import { Filters, Order } from "./filters.js";
import { LabelPanel, decidedBy } from "./label_panel.js";
import { PhotoGrid } from "./photo_grid.js";
import { RunChoice } from "./run_choice.js";
import { listed } from "./session.js";

const COUNT_AFTER_MS = 600;

export class ContactSheet extends Component {
  constructor() {
    super();
    this.grid = createRef();
    this.state = { header: null, order: null, error: null };
  }

  componentDidMount() {
    this.load();
    this.props.session.onDecided = () => this.countSoon();
  }

  componentDidUpdate(before) {
    if (before.session !== this.props.session) this.props.session.onDecided = () => this.countSoon();
    if (before.state.image !== this.props.state.image || !same(this.wanted(before), this.wanted(this.props)) || before.session !== this.props.session) this.load();
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
    this.props.session.onDecided = null;
    this.asked = null;
  }

  wanted({ state }) {
    const { filters, order, descending, like } = state;
    return { filters, order, descending, like };
  }

  load = async () => {
    const asked = this.asked = {}, { session } = this.props;
    try {
      const found = await listed(session.of, this.wanted(this.props));
      if (this.asked !== asked) return;
      const named = this.named;
      if (named >= 0 && found.order.includes(named)) session.choose([named]);
      else if (!found.order.includes(session.current)) session.choose(found.order.length ? [found.order[0]] : []);
      this.setState({ ...found, error: null });
    } catch (error) { if (this.asked === asked) this.setState({ error }); }
  };

  /** The image that the address names, as other rooms do: where the sheet begins. */
  get named() {
    const { session, state } = this.props, start = sampleName(session.about.data, "");
    return state.image.startsWith(start) ? Number(state.image.slice(start.length)) : -1;
  }

  /** The counts after a decision; the images stay where they are until the person asks for other ones. */
  countSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try { this.setState({ header: (await listed(this.props.session.of, this.wanted(this.props))).header }); } catch { /* they are counted again after the next decision */ }
    }, COUNT_AFTER_MS);
  }

  similar = () => {
    const [like] = this.props.session.chosen;
    set({ like, order: "similarity", descending: true }, true);
  };

  keydown = (event) => {
    const { session } = this.props, { order } = this.state;
    if ((event.ctrlKey || event.metaKey) && event.key === "a" && event.target.matches?.(".imagegrid")) {
      event.preventDefault();
      session.selectAll(order);
    } else decidedBy(event, session, { s: () => session.chosen.length === 1 && this.similar() });
  };

  render({ session, state }, { header, order, error, open }) {
    const { about, target } = session;
    return html`<div class="databench">
      <div><${RunChoice} session=${session} isPredicted=${Object.keys(header?.values ?? {}).some((name) => name !== "similarity")} ondone=${() => { session.rows.clear(); this.load(); }} />
      <${Filters} about=${about} target=${target} counts=${header?.counts} values=${header?.values} state=${state} /></div>
      <div class="sheetside" onkeydown=${this.keydown}>
        <${Order} values=${header?.values} state=${state} />
        ${error?.code === "map_missing" ? html`<${ComparingJob} session=${session} ondone=${this.load} />` : error && html`<${ErrorNotice} error=${error} retry=${this.load} />`}
        ${order && html`<p class="soft" role="status">${tn("data.shown", order.length)}${session.selected.size > 1 ? ` · ${tn("data.selected", session.selected.size)}` : ""}</p>`}
        ${order?.length === 0 && html`<${EmptyState} title=${t("data.noneFound")} />`}
        ${order?.length > 0 && html`<${PhotoGrid} ref=${this.grid} id="photos" session=${session} order=${order} size=${state.size} label=${t("data.view.images")} onopen=${() => this.setState({ open: true })} />`}
      </div>
      <${LabelPanel} session=${session} similar=${this.similar} />
      ${open && html`<${Details} session=${session} index=${session.current} close=${() => this.setState({ open: false })} />`}
    </div>`;
  }
}

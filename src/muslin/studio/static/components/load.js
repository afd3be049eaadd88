// What a request gives: while it runs, where it failed, and what is made of its response.

import { Component, html } from "/static/html.js";
import { same } from "/static/state.js";
import { t } from "/static/texts.js";
import { ErrorNotice } from "/static/components/notices.js";

/**
 * Calls `from()`, shows that it loads or why it failed, then `children(data, reload)`. It loads again where `of`, a
 * plain value, is another one; until then what was there stays, so that nothing jumps. `words` say what takes its time,
 * `instead` is shown below an error: where else one can go.
 */
export class Load extends Component {
  componentDidMount() {
    this.load();
  }

  componentDidUpdate(before) {
    if (!same(before.of, this.props.of)) this.load();
  }

  componentWillUnmount() {
    this.asked = null;
  }

  load = async () => {
    const asked = this.asked = {};
    let found;
    try { found = { data: await this.props.from(), error: null }; } catch (error) { found = { error }; }
    if (this.asked === asked) this.setState(found);
  };

  render({ children, loading, words, instead }, { data, error }) {
    if (error) return html`<${ErrorNotice} error=${error} retry=${this.load} />${instead}`;
    if (data === undefined) return loading ?? html`<p class="soft" role="status">${words ?? t("loading")}</p>`;
    return children(data, this.load);
  }
}

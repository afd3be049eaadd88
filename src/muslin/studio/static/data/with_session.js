// A session for one data set, target and run: it stays while the views change.

import { Component } from "/static/html.js";
import { same } from "/static/state.js";
import { Session } from "./session.js";

export class WithSession extends Component {
  constructor(props) {
    super(props);
    this.open(props);
  }

  open({ about, target, run }) {
    this.session?.close();
    this.session = new Session(about, target, run, () => { if (!this.isGone) this.forceUpdate(); });
  }

  componentWillUpdate(next) {
    const of = ({ about, target, run }) => [about.data, about.version, target, run];
    if (!same(of(next), of(this.props))) this.open(next);
  }

  componentWillUnmount() {
    this.isGone = true;
    this.session.close();
  }

  render({ children }) {
    return children(this.session);
  }
}

// The findings of an audit, one after the other: look, decide with a key, go on.

import { ask } from "/static/api.js";
import { Button, EmptyState, ErrorNotice, JobStatus, Load, Notice, Select } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { set } from "/static/state.js";
import { count, messageText, t } from "/static/texts.js";
import { decidedBy, LabelPanel } from "./label_panel.js";
import { sampleName } from "./details.js";

const SIDE_PX = 320;

export class AuditQueue extends Component {
  start = async () => {
    const { session } = this.props;
    try {
      const job = await ask("/api/jobs/start", { kind: "audit", who: session.who || t("data.me"), params: { data: session.about.data } });
      this.setState({ job: job.id, error: null });
    } catch (error) { this.setState({ error }); }
  };

  render({ session, state }, { job, error, done = 0 }) {
    if (job) return html`<${JobStatus} id=${job} ondone=${(ended) => { if (!ended.error) this.setState({ job: null, done: done + 1 }); }} />`;
    return html`<${Load} of=${[session.about.data, session.about.version, done]} from=${() => ask("/api/data/findings", { data: session.about.data })}>${(found) => (found.audit
      ? html`<${Queue} session=${session} state=${state} found=${found} again=${this.start} />`
      : html`<${EmptyState} title=${t("data.auditTitle")}><p>${t("data.auditText")}</p><p><${Button} kind="main" onclick=${this.start}>${t("data.auditStart")}<//></p><${ErrorNotice} error=${error} /><//>`)}<//>`;
  }
}

class Queue extends Component {
  constructor() {
    super();
    this.element = createRef();
  }

  componentDidMount() {
    this.look();
    this.element.current?.focus({ preventScroll: true });
  }

  componentDidUpdate(before) {
    if (before.state.finding !== this.props.state.finding || before.state.label !== this.props.state.label || before.found !== this.props.found) this.look();
  }

  get findings() {
    const { found, state } = this.props;
    return state.label ? found.findings.filter((one) => one.kind === state.label) : found.findings;
  }

  get at() { return Math.max(0, Math.min(this.findings.length - 1, this.props.state.finding)); }
  get finding() { return this.findings[this.at]; }

  /** Select what a label is given to: the first image, which a finding is about. */
  look() {
    const { session } = this.props;
    if (!this.finding) return;
    session.needRows(this.finding.images);
    session.choose([this.finding.images[0]]);
  }

  go(step) {
    const to = this.at + step;
    if (to >= 0 && to < this.findings.length) set({ finding: to });
  }

  /** Take the audit's suggestion: the label, or the exclusion of what is too many. */
  accept = () => {
    const { session } = this.props, { suggested, images, exclude } = this.finding;
    if (suggested && session.target?.kind !== "multilabel") session.setLabel(suggested, [images[0]]);
    else if (exclude.length) session.decide(exclude.filter((index) => !session.rows.get(index)?.is_excluded), { kind: "exclude" }, t("data.excluded"));
    this.go(1);
  };

  keydown = (event) => {
    const { session } = this.props, go = (step) => () => this.go(step);
    const acts = { Enter: this.accept, ArrowRight: go(1), ArrowLeft: go(-1), c: () => { session.confirm([this.finding.images[0]]); this.go(1); }, label: (name) => { session.setLabel(name); this.go(1); } };
    if (event.target.matches?.("button, a, summary") && event.key === "Enter") return;
    if (this.finding) decidedBy(event, session, acts);
  };

  render({ session, state, found, again }) {
    const { finding } = this, canAccept = finding && (finding.exclude.length > 0 || finding.suggested);
    const kinds = [["", `${t("data.anyKind")} (${count(found.findings.length)})`], ...Object.entries(found.counts).map(([kind, n]) => [kind, `${t(`data.finding.${kind}`)} (${count(n)})`])];
    return html`<div class="databench audit" onkeydown=${this.keydown}>
      <div class="toolbar"><${Select} label=${t("data.kind")} value=${state.label} choices=${kinds} onchange=${(label) => set({ label, finding: 0 })} />
        <${Button} onclick=${again}>${t("data.auditAgain")}<//></div>
      ${found.audit.is_old && html`<${Notice} kind="warning"><p>${t("data.auditOld")}</p><//>`}
      ${!finding ? html`<${EmptyState} title=${t("data.auditNothing")} />` : html`<div class="findingside" ref=${this.element} tabindex="0" role="group" aria-label=${t("data.findingOf", { n: count(this.at + 1), of: count(this.findings.length) })}>
        <p class="soft">${t("data.findingOf", { n: count(this.at + 1), of: count(this.findings.length) })} · ${t(`data.finding.${finding.kind}`)}</p>
        <p class="lead">${messageText(finding.message)}</p>
        <ul class="findingimages">${finding.images.map((index) => html`<${FindingImage} key=${index} session=${session} index=${index} isSuggested=${finding.exclude.includes(index)} />`)}</ul>
        ${finding.more > 0 && html`<p class="soft">${t("data.more", { n: count(finding.more) })}</p>`}
        <p class="buttons">${canAccept && html`<${Button} kind="main" hotkey="⏎" disabled=${!session.about.is_writable} onclick=${this.accept}>${finding.suggested ? t("data.acceptLabel", { label: finding.suggested }) : t("data.acceptExclude")}<//>`}
          <${Button} hotkey="←" disabled=${this.at === 0} onclick=${() => this.go(-1)}>${t("data.back")}<//>
          <${Button} hotkey="→" disabled=${this.at >= this.findings.length - 1} onclick=${() => this.go(1)}>${t("data.next")}<//></p>
      </div>`}
      <${LabelPanel} session=${session} />
    </div>`;
  }
}

function FindingImage({ session, index, isSuggested }) {
  const row = session.rows.get(index), source = `/api/thumbnail?${new URLSearchParams({ image: sampleName(session.about.data, index), side: SIDE_PX })}`;
  return html`<li><button type="button" class="face" aria-pressed=${String(session.chosen.includes(index))} onclick=${() => session.choose([index])}>
    <img src=${source} alt=${session.wordsOf(index, index)} class=${session.about.shape ? "small" : ""} /></button>
    <span class="soft">${row ? [session.labelText(row.label), row.part && t(`data.part.${row.part}`), row.is_excluded && t("data.sign.excluded"), isSuggested && !row.is_excluded && t("data.suggested")].filter(Boolean).join(" · ") : ""}</span>
    <span class="soft path">${row?.id}</span></li>`;
}

// The camera: record classes, train the linear probe on them, and see the prediction for what the camera sees.

import { announce } from "/static/dom.js";
import { Button, ErrorNotice, Field, JobStatus, Notice } from "/static/components/index.js";
import { Component, createRef, html } from "/static/html.js";
import { current as importing, watchImport } from "/static/home/importing.js";
import { roomLink } from "/static/state.js";
import { percent, t, tn } from "/static/texts.js";
import { Live } from "./live.js";
import { Recorder } from "./recorder.js";
import { addClass, addFrame, isHonest, missing, removeClass, removeFrames, session, train } from "./session.js";

const FRAME_MS = 150;
const MAX_FRAMES = 400; // of a class
const SHOWN = 8;

export default class Camera extends Component {
  constructor() {
    super();
    this.video = createRef();
    this.recorder = new Recorder();
    this.state = { isOn: false, recording: 0, error: null };
    if (!session.classes.length) for (const n of [1, 2]) addClass(t("camera.className", { n }));
  }

  componentDidMount() {
    this.unwatch = watchImport(() => this.setState({}));
  }

  componentWillUnmount() {
    this.unwatch();
    clearTimeout(this.timer);
    this.recorder.stop();
  }

  turnOn = async () => {
    try {
      await this.recorder.start(this.video.current);
      this.setState({ isOn: true, error: null });
    } catch { this.setState({ error: new Error(t("noCamera")) }); }
  };

  record = (one) => {
    const isSame = this.state.recording === one.id;
    clearTimeout(this.timer);
    this.setState({ recording: isSame ? 0 : one.id });
    if (isSame) return announce(tn("camera.frames", one.frames.length));
    one.recordings += 1;
    return this.takeFrame(one);
  };

  takeFrame = async (one) => {
    const frame = await this.recorder.frame();
    if (this.state.recording !== one.id) return;
    if (frame) addFrame(one, frame);
    if (one.frames.length >= MAX_FRAMES) { this.record(one); return; }
    this.setState({});
    this.timer = setTimeout(() => this.takeFrame(one), FRAME_MS);
  };

  train = async () => {
    this.setState({ recording: 0, error: null });
    clearTimeout(this.timer);
    try { await train(); } catch (error) { this.setState({ error }); }
    this.setState({});
  };

  trained = (job) => {
    if (!job.error && job.result) session.model = job.result.model;
    session.result = job.result;
    this.setState({});
  };

  render(_, { isOn, recording, error }) {
    const lacks = missing(), { classes, job, model } = session;
    return html`<div class="page camera"><h1>${t("camera.title")}</h1><p class="lead">${t("camera.lead")}</p>
      <${ErrorNotice} error=${error || importing?.error} />
      <div class="camerabody">
        <section aria-label=${t("cameraView")}><video ref=${this.video} playsinline muted aria-label=${t("cameraView")}></video>
          ${!isOn && html`<p><${Button} kind="main" onclick=${this.turnOn}>${t("camera.turnOn")}<//></p>`}
          ${isOn && model && html`<${Live} recorder=${this.recorder} model=${model} key=${model} />`}</section>
        <section aria-labelledby="classes"><h2 id="classes">${t("camera.classes")}</h2>
          <ul class="cameraclasses">${classes.map((one) => html`<${ClassRow} key=${one.id} one=${one} isOn=${isOn} isRecording=${recording === one.id}
            record=${() => this.record(one)} changed=${() => this.setState({})} canGo=${classes.length > 2} />`)}</ul>
          <p class="buttons"><${Button} onclick=${() => { addClass(t("camera.className", { n: classes.length + 1 })); this.setState({}); }}>${t("camera.addClass")}<//></p>
          <h2>${t("camera.model")}</h2>
          ${!lacks && !isHonest() && html`<${Notice}><p>${t("camera.notHonest")}</p><//>`}
          <p class="buttons"><${Button} kind="main" disabled=${Boolean(lacks) || importing?.phase === "sending"} onclick=${this.train}>${t("camera.train")}<//>
            ${lacks && html`<span class="soft">${isOn || classes.some((one) => one.frames.length) ? t(...lacks) : t("camera.turnOnFirst")}</span>`}</p>
          ${job && html`<${JobStatus} id=${job} ondone=${this.trained}>${(state) => html`<${Result} state=${state} />`}<//>`}</section>
      </div></div>`;
  }
}

/** One class: its name, how many frames it has, and what to do with them. */
function ClassRow({ one, isOn, isRecording, record, changed, canGo }) {
  return html`<li class="cameraclass">
    <${Field} label=${t("camera.name")} value=${one.name} maxlength="60" live onchange=${(name) => { one.name = name; changed(); }} />
    <p class="soft number">${tn("camera.frames", one.frames.length)} · ${tn("camera.recordings", one.recordings)}</p>
    <div class="cameraframes" aria-hidden="true">${one.frames.slice(-SHOWN).map((frame) => html`<img key=${frame.url} src=${frame.url} alt="" width="48" height="48" />`)}</div>
    <p class="buttons"><${Button} aria-pressed=${isRecording} disabled=${!isOn} onclick=${record} aria-label=${`${t(isRecording ? "camera.stop" : "camera.record")}: ${one.name}`}>${t(isRecording ? "camera.stop" : "camera.record")}<//>
      <${Button} kind="quiet" disabled=${!one.frames.length || isRecording} aria-label=${`${t("camera.clear")}: ${one.name}`} onclick=${() => { removeFrames(one); changed(); }}>${t("camera.clear")}<//>
      ${canGo && html`<${Button} kind="quiet" disabled=${isRecording} aria-label=${`${t("camera.remove")}: ${one.name}`} onclick=${() => { removeClass(one); changed(); }}>${t("camera.remove")}<//>`}</p></li>`;
}

/** What the training says, and where it leads. */
function Result({ state: { result } }) {
  if (!result) return null;
  const test = Object.values(result.test ?? {})[0], opened = { data: session.imported, run: result.run, model: result.model };
  return html`${test && Number.isFinite(test.accuracy) && html`<p>${t("camera.accuracy", { percent: percent(test.accuracy), n: test.n, low: percent(test.interval[0]), high: percent(test.interval[1]) })}</p>`}
    <p class="rowlinks"><a href=${roomLink("mistakes", opened)}>${t("home.mistakes")}</a><a href=${roomLink("model", { ...opened, image: "golden:0" })}>${t("home.inside")}</a><a href=${roomLink("data", opened)}>${t("home.open")}</a></p>`;
}

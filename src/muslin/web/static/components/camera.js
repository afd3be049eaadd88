// A photo from the camera.

import { Button } from "./controls.js";
import { Component, createRef, html } from "../html.js";
import { t } from "../texts.js";

export class Camera extends Component {
  constructor() {
    super();
    this.video = createRef();
  }

  async componentDidMount() {
    try { this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } }); } catch {
      if (!this.isGone) this.props.fail(t("noCamera"));
      return;
    }
    if (this.isGone) { this.stop(); return; }
    this.setState({ isOn: true }, () => { this.video.current.srcObject = this.stream; });
  }

  componentWillUnmount() {
    this.isGone = true;
    this.stop();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
  }

  photo = async () => this.props.take(await photoOf(this.stream, this.video.current));

  render(_, { isOn }) {
    if (!isOn) return null;
    return html`<video autoplay playsinline muted aria-label=${t("cameraView")} ref=${this.video}></video><p><${Button} kind="main" onclick=${this.photo}>${t("takePhoto")}<//></p>`;
  }
}

async function photoOf(stream, video) {
  if (window.ImageCapture) {
    try { return await new ImageCapture(stream.getVideoTracks()[0]).takePhoto(); } catch { /* not every camera can; its video can */ }
  }
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}

// The camera's stream, and its frames as JPEG files. Frames come from a canvas, because no camera takes photos this fast.

const WANTED = { video: { width: { ideal: 640 }, height: { ideal: 480 } } };
const SIDE_PX = 320; // of the shorter side: networks take at most this
const QUALITY = 0.92;

export class Recorder {
  /** Turn the camera on and show it in `video`. Throws where there is none or access was not allowed. */
  async start(video) {
    this.stream = await navigator.mediaDevices.getUserMedia(WANTED);
    this.video = video;
    video.srcObject = this.stream;
    await video.play();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  /** The frame of this moment as a JPEG; null while the camera shows none. */
  async frame() {
    const { videoWidth: width, videoHeight: height } = this.video ?? {};
    if (!this.stream || !width) return null;
    const scale = Math.min(1, SIDE_PX / Math.min(width, height));
    const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => { canvas.toBlob(done, "image/jpeg", QUALITY); });
  }
}

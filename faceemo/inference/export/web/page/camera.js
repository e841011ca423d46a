// The live camera: its picture with a frame and a label on every face, as fast as the tab computes.

import { makeCard, makeFrame, makeHeatMap, shortenLabels } from "./face_views.js";

const byId = (id) => document.getElementById(id);

export class Camera {
  constructor(recognizer, { onProblem, onStatus, onPicture }) {
    this.recognizer = recognizer;
    this.tell = { onProblem, onStatus, onPicture };
    this.stream = null;
    this.opening = false;
  }

  toggle() {
    return this.stream ? this.close() : this.open();
  }

  async open() {
    if (this.opening) return;
    this.opening = true; // a second click would open a second stream
    this.tell.onProblem("");
    try {
      if (!navigator.mediaDevices) throw new Error("browsers lend it only to pages of https or localhost");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    } catch (error) {
      const reason = error.message || error.name;
      return this.tell.onProblem(
        `The camera cannot be used: ${reason}. Allow it in the browser's settings for this page.`,
      );
    } finally {
      this.opening = false;
    }
    const video = byId("video");
    video.srcObject = this.stream;
    await video.play();
    byId("live").hidden = false;
    byId("camera").setAttribute("aria-pressed", "true");
    byId("live").querySelector(".picture").style.setProperty("--ratio", video.videoWidth / video.videoHeight);
    byId("snap").focus();
    this.tell.onStatus("The camera is on.");
    this.watch(this.stream);
  }

  // Shows the faces of one frame after the other, until another stream or none is open.
  async watch(stream) {
    await this.recognizer.ready.catch(() => this.close());
    while (this.stream === stream) {
      const started = performance.now();
      const answer = await this.recognizer.predictFrame(await createImageBitmap(byId("video")));
      if (this.stream !== stream) return;
      if (answer.problem) {
        this.close();
        return this.tell.onProblem(answer.problem);
      }
      this.show(answer, performance.now() - started);
      await new Promise((go) => requestAnimationFrame(go));
    }
  }

  show(answer, milliseconds) {
    const layer = byId("live-layer");
    const { faces, width } = answer;
    layer.replaceChildren();
    faces.forEach((face, index) => {
      const mirror = ([left, top, right, bottom]) => [width - right, top, width - left, bottom];
      const shown = { ...face, box: mirror(face.box), region: mirror(face.region) };
      if (byId("live-heat").checked) {
        const canvas = makeHeatMap(shown, answer);
        canvas.classList.add("mirrored");
        layer.append(canvas);
      }
      const frame = makeFrame(shown, index, answer, faces.length);
      frame.tabIndex = -1; // it is gone in a moment
      layer.append(frame);
    });
    shortenLabels(layer);
    const found = faces.length === 1 ? "One face" : faces.length ? `${faces.length} faces` : "No face";
    byId("live-heading").textContent = `${found}, ${Math.max(1, Math.round(1000 / milliseconds))} a second`;
    byId("live-faces").replaceChildren(...faces.map((face, index) => makeCard(face, index, faces.length, null)));
  }

  // Hands the present picture over as a photograph, which is searched for smaller faces too.
  keep() {
    const video = byId("video");
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => this.tell.onPicture(blob), "image/png");
  }

  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    byId("video").srcObject = null;
    byId("live").hidden = true;
    byId("camera").setAttribute("aria-pressed", "false");
    byId("live-layer").replaceChildren();
    byId("live-faces").replaceChildren();
    this.tell.onStatus("The camera is off.");
    byId("camera").focus();
  }
}

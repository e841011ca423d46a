// The page's side of the worker.

export class Recognizer {
  constructor() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map(); // by the request's number
    this.count = 0;
    this.onProgress = () => {};
    this.ready = new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        if (data.progress) this.onProgress(data.progress);
        else if (data.ready) resolve({ about: data.ready });
        else if (data.broken) reject(new Error(data.broken));
        else this.handle(data);
      };
      this.worker.onerror = () => reject(new Error("This browser cannot run the page; a recent one can."));
    });
    this.ready.catch(() => {}); // the page handles it where it waits
  }

  handle(data) {
    const request = this.waiting.get(data.id);
    if (data.step) return request.onStep(data.step);
    this.waiting.delete(data.id);
    request.resolve(data);
  }

  // Answers { width, height, upright, faces } or { problem } for a photograph, a Blob; `upright` is a
  // Blob to show in its place, or null.
  predict(blob, onStep = () => {}) {
    return this.send({ kind: "photo", blob }, [], onStep);
  }

  // The same for a picture of the camera, an ImageBitmap, which the worker takes over.
  predictFrame(bitmap) {
    return this.send({ kind: "frame", bitmap }, [bitmap]);
  }

  send(message, transferred, onStep = () => {}) {
    const id = ++this.count;
    return new Promise((resolve) => {
      this.waiting.set(id, { resolve, onStep });
      this.worker.postMessage({ id, ...message }, transferred);
    });
  }
}

"use strict";
// One photograph or film, from the moment it is chosen to its answers.

import * as previews from "./preview.js";
import * as server from "./server.js";

const POLL = 500; // milliseconds between questions about a film
const FILM_NAMES = /\.(3g2|3gp|asf|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|mxf|ogv|ts|vob|webm|wmv)$/i;

export class Item {
  // `blob` is a Blob, or the promise of one. `onchange` is called whenever the item has something new to show.
  constructor(blob, name, caption, onchange) {
    Object.assign(this, { blob, name, caption, onchange });
    this.isFilm = blob.type?.startsWith("video/") || blob.type === "image/gif" || FILM_NAMES.test(name);
    this.state = "waiting"; // then "running" and "done", or "failed", or "cancelled"
    this.progress = null; // of a film: { share, text }
    this.preview = null; // { url, width, height }
    this.response = null; // of a photograph
    this.film = null; // of a film: { state, blob, url, table, faces, plot }
    this.problem = null;
    this.controller = new AbortController();
  }

  get signal() {
    return this.controller.signal;
  }

  get isEnded() {
    return ["done", "failed", "cancelled"].includes(this.state);
  }

  update(changes) {
    Object.assign(this, changes);
    this.onchange(this);
  }

  // Returns whether it turned out to be a film, which has to run as one.
  async run(maxBytes, maxFilmBytes) {
    if (this.signal.aborted) return false;
    this.update({ state: "running" });
    try {
      this.refuseLarge(this.isFilm ? maxFilmBytes : maxBytes);
      if (this.isFilm) await this.runFilm();
      else await this.runPhoto();
      this.update({ state: "done" });
    } catch (error) {
      if (this.signal.aborted) this.update({ state: "cancelled" });
      else if (error.problem?.error === "film" && !this.isFilm) {
        this.update({ isFilm: true, state: "waiting" }); // whatever its name says
        return true;
      } else if (error.problem) this.update({ state: "failed", problem: error.problem });
      else throw error;
    }
    return false;
  }

  refuseLarge(most) {
    if (this.blob.size <= most) return;
    const count = (bytes) => bytes.toLocaleString("en");
    throw new server.Refused({
      error: "too_many_bytes",
      expected: `a ${this.isFilm ? "film" : "picture"} of at most ${count(most)} bytes`,
      found: `${count(this.blob.size)} bytes`,
      fix: this.isFilm ? "send a shorter or smaller film" : "scale the picture down, or save it as JPEG",
    });
  }

  async runPhoto() {
    const preview = previews.make(this.blob, this.signal)
      .then((made) => made && this.update({ preview: made }))
      .catch(() => null); // it was cancelled, as the request below is
    const response = await server.predict(this.blob, this.signal);
    await preview;
    if (this.preview && previews.isTurned(this.preview, response)) {
      const upright = await previews.ask(this.blob, this.signal);
      if (upright) this.preview = upright;
    }
    this.response = response;
  }

  async runFilm() {
    this.preview ??= { url: URL.createObjectURL(this.blob) };
    const sent = (share) => this.update({ progress: { share, text: `Sending the film: ${Math.round(100 * share)}%` } });
    let state = await server.sendFilm(this.blob, this.name, this.signal, sent);
    const { id } = state;
    const leave = () => server.deleteFilm(id);
    window.addEventListener("pagehide", leave);
    try {
      while (!["done", "failed"].includes(state.status)) {
        this.update({ progress: describeProgress(state) });
        await new Promise((go) => setTimeout(go, POLL));
        state = await server.getFilm(id, this.signal);
      }
      if (state.status === "failed") throw new server.Refused(splitSentence(state.problem));
      const names = ["film.mp4", "predictions.csv", "faces.csv", "faces.png"];
      const [film, table, faces, plot] = await Promise.all(
        names.map((name) => server.getResult(id, name, this.signal)));
      this.film = { state, blob: film, table, faces, url: URL.createObjectURL(film), plot: URL.createObjectURL(plot) };
    } finally {
      window.removeEventListener("pagehide", leave);
      leave(); // the server keeps nothing once this page has the results
    }
  }

  retry() {
    this.controller = new AbortController();
    this.update({ state: "waiting", problem: null, progress: null });
  }

  dispose() {
    this.controller.abort();
    for (const url of [this.preview?.url, this.film?.url, this.film?.plot]) if (url) URL.revokeObjectURL(url);
  }
}

function describeProgress({ status, frames, frame_count: count, seconds_left: left }) {
  if (status === "waiting") return { share: null, text: "Waiting for other films …" };
  const done = count ? `${frames} of ${count} frames` : `${frames} frames`;
  const rest = left === null ? "" : left < 60 ? `, about ${Math.ceil(left)} seconds left` : `, about ${Math.ceil(left / 60)} minutes left`;
  return { share: count ? frames / count : null, text: `${done}${rest}` };
}

// The parts of a sentence such as 'expected X; found Y. Fix: Z'.
function splitSentence(sentence) {
  const [, expected, found, fix] = /^expected (.*?); found (.*)\. Fix: (.*)$/.exec(sentence) ?? [];
  return { expected: expected ?? "a film that can be read", found: found ?? sentence, fix: fix ?? "try another film" };
}

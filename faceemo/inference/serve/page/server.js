"use strict";
// Requests to the server of this page. No other site is contacted.

const BUSY = 503;
const TRIES = 6; // while the server is busy
export const NO_RESPONSE = {
  error: "no_response",
  expected: "a response from the server",
  found: "none",
  fix: "check that `faceemo serve` is still running, and try again",
};

// A refused request; `problem` has the parts `expected`, `found` and `fix`, and an `error` code.
export class Refused extends Error {
  constructor(problem) {
    super(problem.error);
    this.problem = problem;
  }
}

const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));

async function request(address, options) {
  for (let left = TRIES; ; left -= 1) {
    let response;
    try {
      response = await fetch(address, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refused(NO_RESPONSE);
    }
    if (response.ok) return response;
    if (response.status !== BUSY || left === 1) throw new Refused(await response.json().catch(() => NO_RESPONSE));
    await pause(Number(response.headers.get("Retry-After") ?? 1));
    options.signal?.throwIfAborted();
  }
}

function post(address, blob, signal) {
  const type = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
  return request(address, { method: "POST", body: blob, headers: { "Content-Type": type }, signal });
}

export const predict = async (blob, signal) => (await post("/api/predict?thumbnails=true", blob, signal)).json();
export const makePreview = async (blob, signal) => (await post("/api/preview", blob, signal)).blob();

// The heat map of one face, whose region an earlier response has.
export async function explain(blob, region, signal) {
  const response = await post(`/api/predict?heat=true&region=${region}`, blob, signal);
  return (await response.json()).faces[0].heat;
}

export const getFilm = async (id, signal) => (await request(`/api/films/${id}`, { signal })).json();
export const getResult = async (id, name, signal) => (await request(`/api/films/${id}/${name}`, { signal })).blob();
// Works while the page is being closed, too.
export const deleteFilm = (id) => fetch(`/api/films/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

// Sends a film; `onprogress` gets the share that has arrived. fetch() does not report that.
export function sendFilm(blob, name, signal, onprogress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", `/api/films?name=${encodeURIComponent(name)}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.responseType = "json";
    sending.upload.onprogress = (event) => onprogress(event.loaded / Math.max(1, event.total));
    sending.onload = () =>
      sending.status === 202 ? resolve(sending.response) : reject(new Refused(sending.response ?? NO_RESPONSE));
    sending.onerror = () => reject(new Refused(NO_RESPONSE));
    sending.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => sending.abort());
    sending.send(blob);
  });
}

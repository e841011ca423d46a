"use strict";
// The camera: a live picture from which photographs are taken.

import { byId, makeElement } from "./dom.js";

const REASONS = {
  NotAllowedError: "a browser that does not allow this page to use it",
  NotFoundError: "no camera",
  NotReadableError: "a camera that another program uses",
};
let stream = null; // MediaStream
let attempts = 0;

function show(visible) {
  for (const id of ["snap", "stop", "live"]) byId(id).hidden = !visible;
  byId("camera").hidden = visible;
}

export function close() {
  attempts += 1; // a camera that is being opened is closed as soon as it is open
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  byId("video").srcObject = null;
  show(false);
}

// Opens the camera; returns whether it is open. Throws { problem } if there is none.
export async function open() {
  const attempt = (attempts += 1);
  let opened;
  byId("camera").disabled = true; // a second click would open a second stream
  try {
    if (!navigator.mediaDevices) throw { name: "" };
    opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch (error) {
    throw {
      problem: {
        expected: "a camera that this page may use",
        found: REASONS[error.name] ?? "an address at which browsers block cameras",
        fix: "allow the camera in the browser; it must have opened this page at http://localhost, or by https",
      },
    };
  } finally {
    byId("camera").disabled = false;
  }
  stream = opened;
  if (attempt !== attempts) {
    close();
    return false;
  }
  const video = byId("video");
  video.srcObject = stream;
  await video.play();
  byId("live").style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  show(true);
  byId("snap").focus();
  return true;
}

export function takePhoto() {
  const video = byId("video");
  const canvas = makeElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

"use strict";
// Small pictures of photographs: a large photograph is decoded once, and only its small picture is kept.

import * as server from "./server.js";

const MAX_SIDE = 1600; // pixels

function load(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = url;
  });
}

// Returns { url, width, height } of a picture that the browser can show, or null if it cannot.
async function shrink(blob) {
  const url = URL.createObjectURL(blob);
  let image;
  try {
    image = await load(url);
  } catch {
    URL.revokeObjectURL(url);
    return null;
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  const scale = MAX_SIDE / Math.max(width, height);
  if (scale >= 1) return { url, width, height };
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * width));
  canvas.height = Math.max(1, Math.round(scale * height));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "medium";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const small = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  canvas.width = canvas.height = 0; // frees its memory at once
  image.src = "";
  URL.revokeObjectURL(url);
  return { url: URL.createObjectURL(small), width, height };
}

// Shrinks a photograph here if the browser can show it, otherwise by the server.
export async function make(blob, signal) {
  return (await shrink(blob)) ?? (await ask(blob, signal));
}

// The server's picture: upright also if only metadata that browsers do not read says how.
export async function ask(blob, signal) {
  try {
    return await shrink(await server.makePreview(blob, signal));
  } catch (error) {
    if (signal.aborted) throw error;
    return null; // the predictions then say what is wrong with the file
  }
}

// Whether a picture has other proportions than the upright image that the predictions are about.
export function isTurned(preview, { width, height }) {
  return Math.abs(Math.log((preview.width * height) / (preview.height * width))) > 0.02;
}

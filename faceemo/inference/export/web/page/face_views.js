// What a face looks like on the page: its frame and heat map over the picture, and its card.

import { drawHeat } from "./heatmap.js";

export const percent = (share) => `${Math.round(100 * share)}%`;

export function make(tag, className = "", text = undefined) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function describe(face) {
  const leaning = `${face.leaning}, ${percent(face.probability)}`;
  return face.status === "ok" ? leaning : `unsure, most probably ${leaning}`;
}

const mark = (face) => (face.status === "ok" ? "sure" : "unsure");

// Places an element over a box of a picture of width x height pixels.
function place(element, [left, top, right, bottom], { width, height }) {
  element.style.left = `${(100 * left) / width}%`;
  element.style.top = `${(100 * top) / height}%`;
  element.style.width = `${(100 * (right - left)) / width}%`;
  element.style.height = `${(100 * (bottom - top)) / height}%`;
}

// The frame of a face, a button.
export function makeFrame(face, index, size, count) {
  const { width, height } = size;
  const [left, top, right, bottom] = face.box;
  const box = [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];
  const button = make("button", `box ${mark(face)}`);
  button.type = "button";
  button.classList.toggle("inside", box[1] < 0.1 * height);
  button.classList.toggle("rightmost", box[0] > 0.7 * width);
  const label = face.status === "ok" ? `${face.leaning} ${percent(face.probability)}` : "unsure";
  button.append(make("span", "", count > 1 ? `${index + 1} ${label}` : label));
  button.setAttribute("aria-label", `Face ${index + 1}: ${describe(face)}`);
  place(button, box, size);
  return button;
}

// Reduces labels that cover each other to the number of the face.
export function shortenLabels(layer) {
  const labels = [...layer.querySelectorAll(".box span")];
  const areas = labels.map((label) => label.getBoundingClientRect());
  const overlap = (one, other) =>
    one !== other &&
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  labels.forEach((label, index) => {
    if (areas.some((area) => overlap(areas[index], area))) label.textContent = `${index + 1}`;
  });
}

export function makeHeatMap(face, size) {
  const canvas = drawHeat(face.heat);
  place(canvas, face.region, size);
  return canvas;
}

// The card of a face; `source` is the picture from which its thumbnail is cut, or null.
export function makeCard(face, index, count, source) {
  const item = make("li", mark(face));
  const head = make("div", "head");
  if (source) head.append(cutThumbnail(source, face.region));
  const words = make("div");
  words.append(make("h3", "", face.status === "ok" ? face.label : "unsure"));
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  const about = face.status === "ok" ? [] : [sentence(face.reason), `Most probable: ${face.leaning}.`];
  if (count > 1) about.unshift(`Face ${index + 1} of ${count}.`);
  if (about.length) words.append(make("p", "muted small", about.join(" ")));
  head.append(words);
  item.append(head, makeBars(face));
  return item;
}

function makeBars(face) {
  const bars = make("ul", "bars");
  bars.setAttribute("aria-label", "Probabilities");
  for (const [name, share] of Object.entries(face.probabilities)) {
    const row = make("li", name === face.leaning ? "first" : "");
    const track = make("span", "track");
    const fill = make("span");
    track.setAttribute("aria-hidden", "true");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    row.append(make("span", "", name), track, make("span", "value", percent(share)));
    bars.append(row);
  }
  return bars;
}

const THUMBNAIL = 112; // pixels

function cutThumbnail(source, [left, top, right, bottom]) {
  const canvas = make("canvas");
  canvas.width = canvas.height = THUMBNAIL;
  canvas.setAttribute("aria-hidden", "true");
  canvas.getContext("2d").drawImage(source, left, top, right - left, bottom - top, 0, 0, THUMBNAIL, THUMBNAIL);
  return canvas;
}

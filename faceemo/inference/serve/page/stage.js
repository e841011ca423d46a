"use strict";
// The stage: the photograph with a frame around each face, the film, or the place to drop them.

import { describe } from "./answers.js";
import { byId, makeButton, makeElement, makeImage, percent } from "./dom.js";

const PARTS = ["drop-hint", "preview", "film", "live", "placeholder"];

function show(part) {
  for (const id of PARTS) byId(id).hidden = id !== part;
  byId("stage").classList.toggle("full", part !== "drop-hint");
  if (part !== "film") {
    byId("video-of-film").pause();
    byId("video-of-film").removeAttribute("src");
  }
}

export const showDropHint = () => show("drop-hint");
export const showCamera = () => show("live");

// A file of which there is no picture.
export function showPlaceholder(name) {
  byId("placeholder").textContent = name;
  show("placeholder");
}

export function showPhoto(preview, caption) {
  const photo = byId("photo");
  photo.alt = caption;
  if (photo.src !== preview.url) photo.src = preview.url;
  byId("preview").style.setProperty("--ratio", preview.width / preview.height);
  show("preview");
}

export function showFilm(url, caption) {
  const video = byId("video-of-film");
  show("film");
  video.setAttribute("aria-label", caption);
  video.onloadedmetadata = () =>
    byId("film").style.setProperty("--ratio", video.videoWidth / Math.max(1, video.videoHeight));
  video.onerror = () => video.getAttribute("src") && showPlaceholder(caption);
  if (video.src !== url) video.src = url;
}

function setPosition(element, [left, top, right, bottom], { width, height }) {
  element.style.left = `${(100 * left) / width}%`;
  element.style.top = `${(100 * top) / height}%`;
  element.style.width = `${(100 * (right - left)) / width}%`;
  element.style.height = `${(100 * (bottom - top)) / height}%`;
}

function makeBox(face, index, response) {
  const { width, height } = response;
  const [left, top, right, bottom] = face.box;
  const clipped = [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];
  const button = makeButton(`box ${face.status === "ok" ? "sure" : "unsure"}`, "", () => mark(index, true));
  button.classList.toggle("inside", clipped[1] < 0.1 * height);
  button.classList.toggle("rightmost", clipped[0] > 0.7 * width);
  const label = face.status === "ok" ? `${face.leaning} ${percent(face.probability)}` : "unsure";
  const text = makeElement("span", "", response.faces.length > 1 ? `${index + 1} ${label}` : label);
  text.dataset.number = index + 1;
  button.append(text);
  button.setAttribute("aria-label", `Face ${index + 1}: ${describe(face)}`);
  button.onfocus = button.onmouseenter = () => mark(index, false);
  setPosition(button, clipped, response);
  return button;
}

// Reduces all labels to the numbers of the faces if some cover each other.
function shortenLabels(labels) {
  const areas = labels.map((label) => label.getBoundingClientRect());
  const overlap = (one, other) => one !== other && one.left < other.right && other.left < one.right &&
    one.top < other.bottom && other.top < one.bottom;
  if (!areas.some((one) => areas.some((other) => overlap(one, other)))) return;
  for (const label of labels) label.textContent = label.dataset.number;
}

export function drawBoxes(response) {
  response.faces.forEach((face, index) => {
    if (face.box) byId("boxes").append(makeBox(face, index, response));
    if (face.isHeatShown) drawHeat(face, index, response, true);
  });
  shortenLabels([...document.querySelectorAll(".box span")]);
}

// Lays the heat map of a face over the picture, or takes it away.
export function drawHeat(face, index, response, on) {
  byId("heatmaps").querySelector(`[data-face="${index}"]`)?.remove();
  if (on) {
    const image = makeImage("", face.heat);
    image.dataset.face = index;
    setPosition(image, face.region, response);
    byId("heatmaps").append(image);
  }
  byId("heat-note").hidden = !byId("heatmaps").childElementCount;
}

// Marks a face in the picture and in the list.
export function mark(index, scroll) {
  for (const list of [byId("faces"), byId("boxes")]) {
    [...list.children].forEach((child, position) => child.classList.toggle("marked", position === index));
  }
  if (scroll) byId("faces").children[index].scrollIntoView({ block: "nearest" });
}

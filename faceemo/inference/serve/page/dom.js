"use strict";
// Small helpers for the elements of the page.

export const byId = (id) => document.getElementById(id);
export const percent = (share) => `${Math.round(100 * share)}%`;

export function makeElement(tag, className = "", text = undefined) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function makeButton(className, text, onclick) {
  const button = makeElement("button", className, text);
  button.type = "button";
  button.onclick = onclick;
  return button;
}

export function makeImage(className, source) {
  const image = makeElement("img", className);
  image.alt = ""; // the text beside it says the same
  image.src = source;
  return image;
}

// Saves content under a name, as a download does.
export function save(blob, name) {
  const link = makeElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

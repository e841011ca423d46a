"use strict";
// The answers beside the picture: a card for each face, or the reason why there are none.

import { byId, makeButton, makeElement, makeImage, percent } from "./dom.js";

export function describe(face) {
  const leaning = `${face.leaning}, ${percent(face.probability)}`;
  return face.status === "ok" ? leaning : `unsure, most probably ${leaning}`;
}

export function showStatus(text, waiting = false) {
  if (byId("status").textContent !== text) byId("status").textContent = text; // is read out at every change
  byId("status").classList.toggle("waiting", waiting);
}

// Shows what is wrong with a file (or with the camera, whose name is empty).
export function showProblem({ expected, found, fix }, name = "") {
  showStatus("");
  const title = makeElement("strong", "", name ? `${name} cannot be used: ` : "");
  const bold = makeElement("strong", "", "Fix:");
  byId("problem").replaceChildren(title, `expected ${expected}; found ${found}. `, bold, ` ${fix}.`);
  byId("problem").hidden = false;
}

// Shows a note beside answers, such as that a film is cut off.
export function showNote(text) {
  byId("problem").replaceChildren(text);
  byId("problem").hidden = !text;
}

export function clear() {
  showNote("");
  byId("expect").hidden = byId("film-results").hidden = byId("heat-note").hidden = true;
  for (const id of ["faces", "boxes", "heatmaps"]) byId(id).replaceChildren();
}

function makeBars(shares, best, label) {
  const bars = makeElement("ul", "bars");
  bars.setAttribute("aria-label", label);
  for (const [name, share] of Object.entries(shares)) {
    const row = makeElement("li", name === best ? "first" : "");
    const track = makeElement("span", "track");
    const fill = makeElement("span");
    track.setAttribute("aria-hidden", "true");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    row.append(makeElement("span", "", name), track, makeElement("span", "value", percent(share)));
    bars.append(row);
  }
  return bars;
}

function makeCard(className, thumbnail, number, count, title) {
  const item = makeElement("li", className);
  const face = makeElement("div", "face");
  if (thumbnail) face.append(makeImage("thumbnail", thumbnail));
  const text = makeElement("div", "answer");
  const heading = makeElement("h3", "", title);
  if (count > 1) {
    face.append(makeElement("span", "number", number));
    heading.append(makeElement("span", "muted", `face ${number} of ${count}`));
  }
  text.append(heading);
  item.append(face, text);
  return { item, face, text };
}

// A card of a photograph. `explain` fetches the face's heat map; `onheat` shows it over the picture, or hides it.
export function makeFaceCard(face, index, count, explain, onheat) {
  const sure = face.status === "ok";
  const card = makeCard(sure ? "sure" : "unsure", face.thumbnail, index + 1, count, sure ? face.label : "unsure");
  if (!sure) {
    const reason = face.reason || "it is not probable enough to be the answer";
    const text = `Most probable is ${face.leaning}, but ${reason}.`;
    card.text.append(makeElement("p", "muted small", text));
  }
  card.text.append(makeBars(face.probabilities, face.leaning, "Probabilities"));
  const button = makeButton("button small heat", "Show heat map", async () => {
    const shown = button.getAttribute("aria-pressed") === "true";
    if (!shown && !face.heat) {
      button.setAttribute("aria-busy", "true");
      button.textContent = "Making the heat map …";
      try {
        face.heat = await explain(face);
      } catch (error) {
        button.textContent = "Show heat map";
        throw error;
      } finally {
        button.removeAttribute("aria-busy");
      }
    }
    press(!shown);
    onheat(face, index, !shown);
  });
  const press = (on) => {
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? "Hide heat map" : "Show heat map";
    card.face.querySelector(".over")?.remove();
    if (on) card.face.append(makeImage("over", face.heat));
    face.isHeatShown = on;
  };
  button.setAttribute("aria-label", count > 1 ? `Heat map of face ${index + 1}` : "Heat map");
  press(Boolean(face.isHeatShown && face.heat));
  card.text.append(button);
  return card.item;
}

// A card of a film's face.
export function makeTrackCard(track, count) {
  const [best, share] = Object.entries(track.shares).reduce((one, other) => (other[1] > one[1] ? other : one));
  const sure = best !== "unsure";
  const card = makeCard(sure ? "sure" : "unsure", track.thumbnail, track.track, count, sure ? `mostly ${best}` : best);
  const seconds = (value) => value.toFixed(1);
  const text = `${percent(share)} of the ${seconds(track.seconds)} seconds in which it is seen, ` +
    `from second ${seconds(track.begin)} to ${seconds(track.end)}`;
  card.text.append(makeElement("p", "muted small", text));
  card.text.append(makeBars(track.shares, best, "Share of the time"));
  return card.item;
}

"use strict";
// The page: takes photographs and films, shows one of them with its answers, and saves all answers.

import * as answers from "./answers.js";
import * as camera from "./camera.js";
import { byId, makeButton, makeElement, makeImage, percent, save } from "./dom.js";
import { Item } from "./item.js";
import * as server from "./server.js";
import * as stage from "./stage.js";
import { makeTable } from "./table.js";

const limits = byId("demo").dataset;
let items = [];
let current = null; // the item that is shown
// Photographs are answered one after the other, so that each has the server's whole time; films beside them.
const queues = { photo: Promise.resolve(), film: Promise.resolve() };

// Choosing ---------------------------------------------------------------------------------------

// Adds files and shows the first of them. Each is [Blob or the promise of one, name, caption].
export function add(files) {
  camera.close();
  const added = files.map(([blob, name, caption]) => new Item(blob, name, caption ?? name, refresh));
  items.push(...added);
  for (const item of added) start(item);
  select(added[0]);
}

async function start(item) {
  try {
    item.blob = await item.blob;
  } catch {
    return item.update({ state: "failed", problem: server.NO_RESPONSE });
  }
  const queue = item.isFilm ? "film" : "photo";
  const run = async () => {
    if (await item.run(Number(limits.maxBytes), Number(limits.maxFilmBytes))) start(item);
  };
  queues[queue] = queues[queue].then(run).catch(console.error); // the next one runs in any case
}

function addFiles(list) {
  const files = [...list];
  if (files.length) return add(files.map((file) => [file, file.name || "pasted picture"]));
  answers.clear();
  answers.showProblem({
    expected: "a picture or a film",
    found: "something else",
    fix: "save it as a file and choose that",
  });
}

function removeAll() {
  for (const item of items) item.dispose();
  items = [];
  select(null);
  byId("file").focus();
}

// Showing ----------------------------------------------------------------------------------------

function refresh(item) {
  if (!items.includes(item)) return item.dispose();
  renderStrip();
  if (item !== current) return;
  render();
  if (item.state === "cancelled") byId("again").focus(); // the button that was pressed is hidden now
}

function select(item) {
  current = item;
  renderStrip();
  render();
}

function render() {
  const item = current;
  answers.clear();
  byId("progress").hidden = !item || item.isEnded || !item.isFilm;
  const canRetry = item && (item.state === "cancelled" || ["busy", "no_response"].includes(item.problem?.error));
  byId("again").hidden = !canRetry;
  if (!item) {
    answers.showStatus("Nothing chosen yet.");
    byId("expect").hidden = false;
    return stage.showDropHint();
  }
  if (item.film) stage.showFilm(item.film.url, item.caption);
  else if (item.isFilm && item.preview) stage.showFilm(item.preview.url, item.caption);
  else if (item.preview) stage.showPhoto(item.preview, item.caption);
  else if (item.isEnded && items.length === 1) stage.showDropHint();
  else stage.showPlaceholder(item.name);
  if (item.problem) return answers.showProblem(item.problem, item.name);
  if (item.state === "cancelled") return answers.showStatus("Cancelled.");
  if (item.film) return renderFilm(item);
  if (item.response) return renderPhoto(item);
  if (item.isFilm) return renderProgress(item);
  answers.showStatus(item.state === "waiting" ? "Waiting …" : "Looking for faces …", true);
}

function renderPhoto(item) {
  const { response } = item;
  const { faces } = response;
  if (!faces.length) return answers.showStatus("No face was found, so there is no answer.");
  answers.showStatus(faces.length > 1 ? `${faces.length} faces` : "One face");
  const lines = faces.map((face, index) => (faces.length > 1 ? `${index + 1}: ` : "") + answers.describe(face));
  byId("status").append(makeElement("span", "visually-hidden", `. ${lines.join(". ")}.`)); // for screen readers
  const explain = async (face) => {
    try {
      return await server.explain(item.blob, face.region, item.signal);
    } catch (error) {
      if (error.problem && item === current) answers.showProblem(error.problem, item.name);
      throw error;
    }
  };
  faces.forEach((face, index) => {
    const onheat = (...heat) => item === current && stage.drawHeat(...heat.slice(0, 2), response, heat[2]);
    const card = answers.makeFaceCard(face, index, faces.length, explain, onheat);
    card.onmouseenter = () => stage.mark(index, false);
    byId("faces").append(card);
  });
  if (item.preview) stage.drawBoxes(response);
}

function renderProgress({ progress, state }) {
  const { share, text } = progress ?? { share: null, text: state === "waiting" ? "Waiting …" : "Opening the film …" };
  const bar = byId("progress-bar");
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  byId("progress-text").textContent = text;
  answers.showStatus("Looking for faces in the film …");
}

function renderFilm({ name, film }) {
  const { tracks, problem, every } = film.state;
  const count = tracks.length;
  answers.showStatus(count === 0 ? "No face was found in the film." : count === 1 ? "One face" : `${count} faces`);
  answers.showNote(problem ? `${name}: ${problem}.` : "");
  for (const track of tracks) byId("faces").append(answers.makeTrackCard(track, count));
  byId("film-results").hidden = false;
  byId("plot").hidden = count === 0;
  byId("plot").src = film.plot;
  byId("film-note").textContent = every > 1 ? `One in ${every} frames was looked at. A number stands for one face in the whole film.`
    : "A number stands for one face in the whole film.";
  const stem = name.replace(/\.[^.]*$/, "");
  byId("save-film").onclick = () => save(film.blob, `${stem}_faces.mp4`);
  byId("save-frames").onclick = () => save(film.table, `${stem}.csv`);
  byId("save-tracks").onclick = () => save(film.faces, `${stem}_faces.csv`);
}

// The strip of all photographs and films ---------------------------------------------------------

function summarise(item) {
  if (item.state === "cancelled") return "cancelled";
  if (item.problem) return "cannot be used";
  if (item.state === "waiting") return "waiting";
  if (!item.isEnded) return item.progress?.share ? percent(item.progress.share) : "…";
  const count = item.film ? item.film.state.tracks.length : item.response.faces.length;
  return count === 0 ? "no face" : count === 1 ? "1 face" : `${count} faces`;
}

function renderStrip() {
  const strip = byId("strip");
  strip.hidden = items.length < 2;
  while (strip.childElementCount > items.length) strip.lastElementChild.remove();
  items.forEach((item, index) => {
    let entry = strip.children[index];
    if (!entry) {
      entry = makeElement("li");
      entry.append(makeButton("entry", "", () => select(items[index])));
      strip.append(entry);
    }
    const [button] = entry.children;
    const url = (item.isFilm ? item.film?.state.tracks[0]?.thumbnail : item.preview?.url) ?? "";
    if (!button.childElementCount || button.dataset.url !== url) {
      button.dataset.url = url;
      const picture = url ? makeImage("", url) : makeElement("span", "none", item.isFilm ? "film" : "no preview");
      button.replaceChildren(picture, makeElement("span", "name"), makeElement("span", "fact"));
    }
    button.querySelector(".name").textContent = item.name;
    button.querySelector(".fact").textContent = summarise(item);
    button.setAttribute("aria-current", item === current);
    button.title = item.name;
  });
  const ended = items.filter((item) => item.isEnded).length;
  const overall = items.length > 1 ? `${ended} of ${items.length} answered` : "";
  if (byId("overall").textContent !== overall) byId("overall").textContent = overall;
  byId("save").hidden = !items.some((item) => !item.isFilm && item.isEnded);
  byId("remove").hidden = !items.length;
}

// Events -----------------------------------------------------------------------------------------

async function openCamera() {
  answers.clear();
  try {
    if (!(await camera.open())) return;
  } catch (error) {
    return answers.showProblem(error.problem);
  }
  current = null;
  renderStrip();
  stage.showCamera();
  answers.clear();
  answers.showStatus("The camera is on.");
}

byId("file").onchange = (event) => {
  if (event.target.files.length) addFiles(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
};
byId("camera").onclick = openCamera;
byId("snap").onclick = async () => {
  add([[await camera.takePhoto(), "camera.jpg", "the photo taken with the camera"]]);
  byId("camera").focus();
};
byId("stop").onclick = () => {
  camera.close();
  select(items.at(-1) ?? null);
  byId("camera").focus();
};
byId("cancel").onclick = () => current?.controller.abort();
byId("again").onclick = () => {
  const item = current;
  item.retry();
  start(item);
};
byId("save").onclick = () => {
  const ended = items.filter((item) => !item.isFilm && item.isEnded && (item.response || item.problem));
  save(new Blob([makeTable(ended)], { type: "text/csv" }), "faceemo.csv");
};
byId("remove").onclick = removeAll;
for (const button of document.querySelectorAll(".example")) {
  const { address, caption } = button.dataset;
  button.onclick = () => add([[fetch(address).then((response) => response.blob()), address.replace(/.*\//, ""), caption]]);
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) addFiles(event.clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("stage").classList.remove("over");
  addFiles(event.dataTransfer.files);
});

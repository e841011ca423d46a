// The page: takes photographs, hands them to the worker, and shows what it answers.

import { Camera } from "./camera.js";
import { writeCsv } from "./csv.js";
import { Recognizer } from "./recognizer.js";
import { PhotoView } from "./photo.js";

const byId = (id) => document.getElementById(id);
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const recognizer = new Recognizer();
const photos = []; // PhotoViews in the order in which they were added

function showStatus(text) {
  byId("status").textContent = text;
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

// Loading ----------------------------------------------------------------------------------------

recognizer.onProgress = ({ loaded, total }) => {
  byId("progress").value = loaded / total;
  byId("loading-text").textContent =
    loaded < total ? `Loading ${megabytes(loaded)} of ${megabytes(total)} MB …` : "Starting the network …";
};
recognizer.ready.then(
  () => {
    byId("loading").hidden = true;
    if (!photos.length) showStatus("Ready.");
  },
  (error) => {
    byId("loading").hidden = true;
    showProblem(`The network could not be loaded: ${error.message} Reload the page, or check the web server.`);
  },
);

// Photographs ------------------------------------------------------------------------------------

async function addPhotos(files) {
  const chosen = [...files];
  if (!chosen.length) return showProblem("That was no file. Save the picture as a file, and choose or drop that.");
  showProblem("");
  const views = chosen.map((file) => new PhotoView(file, file.name || "pasted picture", { onRemove: remove }));
  photos.push(...views);
  byId("photos").append(...views.map((view) => view.element));
  byId("results").hidden = false;
  views[0].element.scrollIntoView({ block: "nearest" });
  await Promise.all(views.map(analyse));
}

async function analyse(view) {
  view.waiting("Waiting …");
  tellProgress();
  const { about } = await recognizer.ready.then((value) => value, () => ({}));
  if (!about) return view.failed("The network could not be loaded.");
  const answer = await recognizer.predict(view.blob, (step) => view.waiting(`${step} …`));
  if (answer.problem) view.failed(answer.problem);
  else await view.show(answer, byId("heat").checked);
  tellProgress();
}

function tellProgress() {
  const done = photos.filter((view) => view.result).length;
  const faces = photos.reduce((sum, view) => sum + (view.result?.faces?.length ?? 0), 0);
  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const words = `${count(faces, "face", "faces")} in ${count(done, "photograph", "photographs")}`;
  const left = photos.length - done;
  showStatus(left ? `${words}; ${left} to go …` : photos.length ? `${words}.` : "Ready.");
  byId("save").disabled = !done;
}

function remove(view) {
  photos.splice(photos.indexOf(view), 1);
  view.close();
  byId("results").hidden = !photos.length;
  tellProgress();
  byId("file").focus();
}

async function saveResults() {
  const { about } = await recognizer.ready;
  const done = photos.filter((view) => view.result);
  const text = writeCsv(done.map((view) => ({ name: view.name, ...view.result })), about.classes);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "emotions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Camera -----------------------------------------------------------------------------------------

const camera = new Camera(recognizer, {
  onProblem: showProblem,
  onStatus: showStatus,
  onPicture: (blob) => addPhotos([new File([blob], `camera ${new Date().toLocaleTimeString()}.png`)]),
});

// Events -----------------------------------------------------------------------------------------

byId("file").onchange = ({ target }) => {
  if (target.files.length) addPhotos(target.files);
  target.value = ""; // so that the same file can be chosen again
};
byId("camera").onclick = () => camera.toggle();
byId("stop").onclick = () => camera.close();
byId("snap").onclick = () => camera.keep();
byId("heat").onchange = ({ target }) => {
  byId("heat-note").hidden = !target.checked;
  for (const view of photos) view.showHeat(target.checked);
};
byId("save").onclick = saveResults;
byId("clear").onclick = () => [...photos].forEach(remove);
document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) addPhotos(clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  addPhotos(event.dataTransfer.files);
});

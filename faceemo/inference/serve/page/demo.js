"use strict";
// Sends photos to /api/predict as they are and draws the response over them. No other site is contacted.

const byId = (id) => document.getElementById(id);
const maxBytes = Number(byId("demo").dataset.maxBytes);
let request = null; // AbortController of the latest request
let photoUrl = ""; // blob: URL of the photo that is shown
let stream = null; // MediaStream of the camera

const percent = (share) => `${Math.round(100 * share)}%`;
const formatCount = (count) => count.toLocaleString("en");

function makeElement(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function showStatus(text, waiting = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("waiting", waiting);
}

function showProblem({ expected, found, fix }) {
  showStatus("");
  const bold = makeElement("strong", "", "Fix:");
  byId("problem").replaceChildren(`Expected ${expected}; found ${found}. `, bold, ` ${fix}.`);
  byId("problem").hidden = false;
}

function showNoResponse() {
  showProblem({
    expected: "a response from the server",
    found: "none",
    fix: "check that `faceemo serve` is still running, and try again",
  });
}

function clearResults() {
  byId("problem").hidden = byId("expect").hidden = true;
  for (const id of ["faces", "boxes", "heatmaps"]) byId(id).replaceChildren();
}

// The photo --------------------------------------------------------------------------------------

function showDropHint() {
  byId("preview").hidden = true;
  byId("drop-hint").hidden = false;
  byId("stage").classList.remove("full");
}

function showPhoto(blob, caption) {
  URL.revokeObjectURL(photoUrl);
  photoUrl = URL.createObjectURL(blob);
  const photo = byId("photo");
  photo.alt = caption;
  photo.onload = () => {
    byId("preview").style.setProperty("--ratio", photo.naturalWidth / photo.naturalHeight);
    byId("preview").hidden = false;
  };
  photo.onerror = showDropHint; // the server's response then says what is wrong with the file
  photo.src = photoUrl;
  byId("drop-hint").hidden = true;
  byId("stage").classList.add("full");
}

// Shows a photo and its predictions. `photo` is a Blob, or the promise of one.
async function predict(photo, caption) {
  request?.abort();
  const { signal } = (request = new AbortController());
  closeCamera();
  clearResults();
  let blob, response, body;
  try {
    blob = await photo;
  } catch (error) {
    if (signal.aborted) return; // a later photo replaces this one
    showDropHint();
    return showNoResponse();
  }
  if (signal.aborted) return;
  if (blob.size > maxBytes) {
    showDropHint();
    return showProblem({
      expected: `an image file of at most ${formatCount(maxBytes)} bytes`,
      found: `${formatCount(blob.size)} bytes`,
      fix: "scale the image down, or save it as JPEG",
    });
  }
  showPhoto(blob, caption);
  showStatus("Predicting …", true);
  const form = new FormData();
  form.append("file", blob, "photo");
  try {
    response = await fetch("/api/predict?heat=true", { method: "POST", body: form, signal });
    body = await response.json();
  } catch (error) {
    if (!signal.aborted) showNoResponse();
    return;
  }
  if (signal.aborted) return;
  if (response.ok) showPredictions(body);
  else showProblem(body);
}

// The predictions --------------------------------------------------------------------------------

function describe(face) {
  const leaning = `${face.leaning}, ${percent(face.probability)}`;
  return face.status === "ok" ? leaning : `unsure, most probably ${leaning}`;
}

function showPredictions(response) {
  const count = response.faces.length;
  if (!count) return showStatus("No face was detected, so nothing is predicted.");
  const lines = response.faces.map((face, index) => (count > 1 ? `${index + 1}: ${describe(face)}` : describe(face)));
  showStatus(count > 1 ? `${count} faces` : "One face");
  const withHeat = count - response.without_heat;
  byId("heat-few").textContent = response.without_heat ? ` Only the ${withHeat} largest faces have a heatmap.` : "";
  byId("status").append(makeElement("span", "visually-hidden", `. ${lines.join(". ")}.`)); // for screen readers
  response.faces.forEach((face, index) => {
    const prefix = count > 1 ? `${index + 1} ` : "";
    byId("faces").append(makeCard(face, index, count));
    if (face.box) byId("boxes").append(makeBox(face, index, prefix, response));
    if (face.heat) byId("heatmaps").append(makeHeatmap(face, response));
  });
  shortenLabels([...document.querySelectorAll(".box span")]);
}

// Reduces labels that cover each other to the number of the face.
function shortenLabels(labels) {
  const areas = labels.map((label) => label.getBoundingClientRect());
  const overlap = (one, other) => one !== other && one.left < other.right && other.left < one.right &&
    one.top < other.bottom && other.top < one.bottom;
  labels.forEach((label, index) => {
    if (areas.some((area) => overlap(areas[index], area))) label.textContent = `${index + 1}`;
  });
}

function setPosition(element, [left, top, right, bottom], { width, height }) {
  element.style.left = `${(100 * left) / width}%`;
  element.style.top = `${(100 * top) / height}%`;
  element.style.width = `${(100 * (right - left)) / width}%`;
  element.style.height = `${(100 * (bottom - top)) / height}%`;
}

function makeBox(face, index, prefix, response) {
  const { width, height } = response;
  const [left, top, right, bottom] = face.box;
  const clipped = [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];
  const button = makeElement("button", `box ${face.status === "ok" ? "sure" : "unsure"}`);
  button.type = "button";
  button.classList.toggle("inside", clipped[1] < 0.1 * height);
  button.classList.toggle("rightmost", clipped[0] > 0.7 * width);
  const label = face.status === "ok" ? `${face.leaning} ${percent(face.probability)}` : "unsure";
  button.append(makeElement("span", "", prefix + label));
  button.setAttribute("aria-label", `Face ${index + 1}: ${describe(face)}`);
  button.onclick = () => markFace(index, true);
  button.onfocus = button.onmouseenter = () => markFace(index, false);
  setPosition(button, clipped, response);
  return button;
}

function makeHeatmap(face, response) {
  const image = makeElement("img");
  image.alt = "";
  image.src = face.heat;
  setPosition(image, face.region, response);
  return image;
}

function makeCard(face, index, count) {
  const item = makeElement("li", face.status === "ok" ? "sure" : "unsure");
  const heading = makeElement("h3", "", face.status === "ok" ? face.label : "unsure");
  if (count > 1) heading.append(makeElement("span", "muted", `face ${index + 1} of ${count}`));
  item.append(heading);
  if (face.status !== "ok") {
    const text = `The most probable emotion, ${face.leaning}, is more likely wrong than right.`;
    item.append(makeElement("p", "muted small", text));
  }
  const bars = makeElement("ul", "bars");
  bars.setAttribute("aria-label", "Probabilities");
  for (const [name, share] of Object.entries(face.probabilities)) {
    const row = makeElement("li", name === face.leaning ? "first" : "");
    const track = makeElement("span", "track");
    const fill = makeElement("span");
    track.setAttribute("aria-hidden", "true");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    row.append(makeElement("span", "", name), track, makeElement("span", "value", percent(share)));
    bars.append(row);
  }
  item.append(bars);
  item.onmouseenter = () => markFace(index, false);
  return item;
}

function markFace(index, scroll) {
  for (const list of [byId("faces"), byId("boxes")]) {
    [...list.children].forEach((child, position) => child.classList.toggle("marked", position === index));
  }
  if (scroll) byId("faces").children[index].scrollIntoView({ block: "nearest" });
}

// The camera -------------------------------------------------------------------------------------

function showCamera(visible) {
  for (const id of ["snap", "stop", "live"]) byId(id).hidden = !visible;
  byId("camera").hidden = visible;
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  byId("video").srcObject = null;
  showCamera(false);
}

async function openCamera() {
  const before = request;
  let opened;
  byId("camera").disabled = true; // a second click would open a second stream
  try {
    if (!navigator.mediaDevices) throw new Error("an address for which browsers block the camera");
    opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch (error) {
    return showProblem({
      expected: "a camera that this page may use",
      found: error.message || error.name,
      fix: "allow the camera in the browser; it must have opened this page at http://localhost, or by https",
    });
  } finally {
    byId("camera").disabled = false;
  }
  stream = opened;
  if (before !== request) return closeCamera(); // a photo was chosen meanwhile
  request?.abort();
  clearResults();
  showStatus("The camera is on.");
  byId("preview").hidden = byId("drop-hint").hidden = true;
  const video = byId("video");
  video.srcObject = stream;
  await video.play();
  byId("live").style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  showCamera(true);
  byId("snap").focus();
}

function takePhoto() {
  const video = byId("video");
  const canvas = makeElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => predict(blob, "the photo taken with the camera"), "image/jpeg", 0.95);
  byId("camera").hidden = false;
  byId("camera").focus();
}

// Events -----------------------------------------------------------------------------------------

function predictFile(files) {
  const [file] = files;
  if (file) return predict(file, file.name || "the pasted photo");
  showProblem({ expected: "an image file", found: "something else", fix: "save the image as a file and choose that" });
}

byId("file").onchange = (event) => {
  if (event.target.files.length) predictFile(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
};
byId("camera").onclick = openCamera;
byId("snap").onclick = takePhoto;
byId("stop").onclick = () => {
  closeCamera();
  showStatus("No photo yet.");
  showDropHint();
  byId("camera").focus();
};
byId("heat").onchange = (event) => {
  byId("heatmaps").hidden = byId("heat-note").hidden = !event.target.checked;
};
for (const button of document.querySelectorAll(".example")) {
  const { address, caption } = button.dataset;
  button.onclick = () => predict(fetch(address).then((response) => response.blob()), caption);
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) predictFile(event.clipboardData.files);
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
  predictFile(event.dataTransfer.files);
});

"use strict";
// Pictures go to /api/predict as they are; what comes back is drawn over them. No other address is asked.

const at = (id) => document.getElementById(id);
const most = Number(at("demo").dataset.bytes);
let asking = null; // AbortController of the request that is under way
let address = ""; // of the picture that is shown
let stream = null; // of the camera

const percent = (share) => `${Math.round(100 * share)}%`;
const number = (count) => count.toLocaleString("en");

function made(tag, kind, text) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}

function tell(text, waiting = false) {
  at("status").textContent = text;
  at("status").classList.toggle("waiting", waiting);
}

function refuse({ expected, found, fix }) {
  tell("");
  const bold = made("strong", "", "Fix:");
  at("problem").replaceChildren(`Expected ${expected}; found ${found}. `, bold, ` ${fix}.`);
  at("problem").hidden = false;
}

function miss() {
  refuse({
    expected: "an answer from the server",
    found: "none",
    fix: "see whether `faceemo serve` still runs, and try again",
  });
}

function clear() {
  at("problem").hidden = at("expect").hidden = true;
  for (const id of ["faces", "boxes", "heats"]) at(id).replaceChildren();
}

// The picture itself -----------------------------------------------------------------------------

function invite() {
  at("shown").hidden = true;
  at("invitation").hidden = false;
  at("stage").classList.remove("full");
}

function show(blob, name) {
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  const picture = at("picture");
  picture.alt = name;
  picture.onload = () => {
    at("shown").style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
    at("shown").hidden = false;
  };
  picture.onerror = invite; // the server then says what is wrong with it
  picture.src = address;
  at("invitation").hidden = true;
  at("stage").classList.add("full");
}

// `given` is a Blob, or the promise of one.
async function look(given, name) {
  asking?.abort();
  const mine = (asking = new AbortController());
  closeCamera();
  clear();
  let blob, answer, body;
  try {
    blob = await given;
  } catch (error) {
    if (mine.signal.aborted) return; // another picture is under way
    invite();
    return miss();
  }
  if (mine.signal.aborted) return;
  if (blob.size > most) {
    invite();
    return refuse({
      expected: `a picture of at most ${number(most)} bytes`,
      found: `${number(blob.size)}`,
      fix: "make it smaller, or save it as JPEG",
    });
  }
  show(blob, name);
  tell("Looking …", true);
  const form = new FormData();
  form.append("file", blob, "picture");
  try {
    answer = await fetch("/api/predict?heat=true", { method: "POST", body: form, signal: mine.signal });
    body = await answer.json();
  } catch (error) {
    if (!mine.signal.aborted) miss();
    return;
  }
  if (mine.signal.aborted) return;
  if (answer.ok) draw(body);
  else refuse(body);
}

// What was found ---------------------------------------------------------------------------------

function sentence(face) {
  const said = `${face.leaning}, ${percent(face.probability)}`;
  return face.status === "ok" ? said : `unsure, leans to ${said}`;
}

function draw(answer) {
  const count = answer.faces.length;
  if (!count) return tell("No face was found, so nothing is said about one.");
  const each = answer.faces.map((face, index) => (count > 1 ? `${index + 1}: ${sentence(face)}` : sentence(face)));
  tell(count > 1 ? `${count} faces` : "One face");
  at("heat-few").textContent = answer.without_heat ? ` Only the ${count - answer.without_heat} largest faces have a map.` : "";
  const spoken = made("span", "aside", `. ${each.join(". ")}.`);
  at("status").append(spoken);
  answer.faces.forEach((face, index) => {
    const label = count > 1 ? `${index + 1} ` : "";
    at("faces").append(card(face, index, count));
    if (face.box) at("boxes").append(box(face, index, label, answer));
    if (face.heat) at("heats").append(heat(face, answer));
  });
  shorten([...document.querySelectorAll(".box span")]);
}

// Labels that cover each other keep the face's number alone.
function shorten(labels) {
  const areas = labels.map((label) => label.getBoundingClientRect());
  const meet = (one, other) => one !== other && one.left < other.right && other.left < one.right &&
    one.top < other.bottom && other.top < one.bottom;
  labels.forEach((label, index) => {
    if (areas.some((area) => meet(areas[index], area))) label.textContent = `${index + 1}`;
  });
}

function place(element, [left, top, right, bottom], { width, height }) {
  element.style.left = `${(100 * left) / width}%`;
  element.style.top = `${(100 * top) / height}%`;
  element.style.width = `${(100 * (right - left)) / width}%`;
  element.style.height = `${(100 * (bottom - top)) / height}%`;
}

function box(face, index, label, answer) {
  const { width, height } = answer;
  const [left, top, right, bottom] = face.box;
  const inside = [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];
  const button = made("button", `box ${face.status === "ok" ? "sure" : "unsure"}`);
  button.type = "button";
  button.classList.toggle("inside", inside[1] < 0.1 * height);
  button.classList.toggle("rightmost", inside[0] > 0.7 * width);
  const short = face.status === "ok" ? `${face.leaning} ${percent(face.probability)}` : "unsure";
  button.append(made("span", "", label + short));
  button.setAttribute("aria-label", `Face ${index + 1}: ${sentence(face)}`);
  button.onclick = () => mark(index, true);
  button.onfocus = button.onmouseenter = () => mark(index, false);
  place(button, inside, answer);
  return button;
}

function heat(face, answer) {
  const image = made("img");
  image.alt = "";
  image.src = face.heat;
  place(image, face.region, answer);
  return image;
}

function card(face, index, count) {
  const item = made("li", face.status === "ok" ? "sure" : "unsure");
  const heading = made("h3", "", face.status === "ok" ? face.label : "unsure");
  if (count > 1) heading.append(made("span", "muted", `face ${index + 1} of ${count}`));
  item.append(heading);
  if (face.status !== "ok") {
    item.append(made("p", "muted small", `More likely wrong than right: it leans to ${face.leaning}.`));
  }
  const bars = made("ul", "bars");
  bars.setAttribute("aria-label", "Calibrated probabilities");
  for (const [name, share] of Object.entries(face.probabilities)) {
    const row = made("li", name === face.leaning ? "first" : "");
    const track = made("span", "track");
    const fill = made("span");
    track.setAttribute("aria-hidden", "true");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    row.append(made("span", "", name), track, made("span", "value", percent(share)));
    bars.append(row);
  }
  item.append(bars);
  item.onmouseenter = () => mark(index, false);
  return item;
}

function mark(index, scroll) {
  for (const list of [at("faces"), at("boxes")]) {
    [...list.children].forEach((one, place) => one.classList.toggle("marked", place === index));
  }
  if (scroll) at("faces").children[index].scrollIntoView({ block: "nearest" });
}

// The camera -------------------------------------------------------------------------------------

function controls(filming) {
  for (const id of ["snap", "stop", "live"]) at(id).hidden = !filming;
  at("camera").hidden = filming;
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  at("video").srcObject = null;
  controls(false);
}

async function openCamera() {
  const before = asking;
  let opened;
  at("camera").disabled = true; // a second click would open a second one
  try {
    if (!navigator.mediaDevices) throw new Error("a page that browsers give no camera to");
    opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch (error) {
    return refuse({
      expected: "a camera that this page may use",
      found: error.message || error.name,
      fix: "allow it in the browser; it takes the address http://localhost, or https",
    });
  } finally {
    at("camera").disabled = false;
  }
  stream = opened;
  if (before !== asking) return closeCamera(); // a picture was given meanwhile
  asking?.abort();
  clear();
  tell("The camera is on.");
  at("shown").hidden = at("invitation").hidden = true;
  const video = at("video");
  video.srcObject = stream;
  await video.play();
  at("live").style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  controls(true);
  at("snap").focus();
}

function snap() {
  const video = at("video");
  const canvas = made("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => look(blob, "the picture that the camera took"), "image/jpeg", 0.95);
  at("camera").hidden = false;
  at("camera").focus();
}

// What people do ---------------------------------------------------------------------------------

function given(files) {
  const [file] = files;
  if (file) return look(file, file.name || "the pasted picture");
  refuse({ expected: "a picture", found: "something else", fix: "save it as a file and choose that" });
}

at("file").onchange = (event) => {
  if (event.target.files.length) given(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
};
at("camera").onclick = openCamera;
at("snap").onclick = snap;
at("stop").onclick = () => {
  closeCamera();
  tell("No picture yet.");
  invite();
  at("camera").focus();
};
at("heat").onchange = (event) => {
  at("heats").hidden = at("heat-note").hidden = !event.target.checked;
};
for (const button of document.querySelectorAll(".example")) {
  button.onclick = () => look(fetch(button.dataset.address).then((answer) => answer.blob()), button.dataset.name);
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) given(event.clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("stage").classList.remove("over");
  given(event.dataTransfer.files);
});

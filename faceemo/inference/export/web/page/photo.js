// One photograph on the page, with its faces.

import { make, makeCard, makeFrame, makeHeatMap, shortenLabels } from "./face_views.js";

export class PhotoView {
  constructor(blob, name, { onRemove }) {
    this.blob = blob;
    this.name = name;
    this.result = null; // { width, height, faces } or { problem }
    this.element = make("article", "photo");
    this.image = make("img");
    this.image.alt = `Photograph ${name}`;
    this.displayed = this.display(blob);
    this.image.onload = () => this.fit(this.image.naturalWidth / this.image.naturalHeight);
    this.image.onerror = () => (this.stage.hidden = true);
    this.heats = make("div", "layer");
    this.heats.setAttribute("aria-hidden", "true");
    this.frames = make("div", "layer");
    this.picture = make("div", "picture");
    this.picture.append(this.image, this.heats, this.frames);
    this.stage = make("div", "stage");
    this.stage.append(this.picture);
    const heading = make("h2", "", "");
    const button = make("button", "button small", "Remove");
    button.type = "button";
    button.setAttribute("aria-label", `Remove ${name}`);
    button.onclick = () => onRemove(this);
    heading.append(make("span", "", name), button);
    this.words = make("p", "muted");
    this.cards = make("ol", "cards");
    const answers = make("div", "answers");
    answers.append(heading, this.words, this.cards);
    this.element.append(this.stage, answers);
  }

  display(blob) {
    URL.revokeObjectURL(this.address);
    this.address = this.image.src = URL.createObjectURL(blob);
    return this.image.decode().catch(() => {}); // the worker tells what is wrong with it
  }

  fit(ratio) {
    this.picture.style.setProperty("--ratio", ratio);
  }

  waiting(text) {
    this.words.textContent = text;
  }

  failed(problem) {
    this.result = { problem };
    this.words.className = "notice";
    this.words.textContent = problem;
  }

  async show(result, withHeat) {
    if (result.upright) this.displayed = this.display(result.upright);
    await this.displayed; // thumbnails are cut from it
    this.result = result;
    const { faces } = result;
    this.fit(result.width / result.height);
    this.words.textContent =
      ["No face was found, so nothing is predicted.", "One face"][faces.length] ??
      `${faces.length} faces, from left to right`;
    this.maps = faces.map((face) => makeHeatMap(face, result));
    this.buttons = faces.map((face, index) => this.makeHeatButton(index));
    faces.forEach((face, index) => {
      const frame = makeFrame(face, index, result, faces.length);
      frame.onclick = () => this.mark(index, true);
      frame.onfocus = frame.onmouseenter = () => this.mark(index, false);
      this.frames.append(frame);
      const card = makeCard(face, index, faces.length, this.image);
      card.querySelector(".head").append(this.buttons[index]);
      card.onmouseenter = () => this.mark(index, false);
      this.cards.append(card);
    });
    this.heats.append(...this.maps);
    this.showHeat(withHeat);
    shortenLabels(this.frames);
  }

  makeHeatButton(index) {
    const button = make("button", "button small", "Heat map");
    button.type = "button";
    button.setAttribute("aria-label", `Heat map of face ${index + 1}`);
    button.onclick = () => this.setHeat(index, this.maps[index].hidden);
    return button;
  }

  setHeat(index, visible) {
    this.maps[index].hidden = !visible;
    this.buttons[index].setAttribute("aria-pressed", visible);
    this.buttons[index].classList.toggle("main", visible);
  }

  showHeat(visible) {
    this.maps?.forEach((_, index) => this.setHeat(index, visible));
  }

  mark(index, scroll) {
    for (const list of [this.cards, this.frames]) {
      [...list.children].forEach((child, place) => child.classList.toggle("marked", place === index));
    }
    if (scroll) this.cards.children[index].scrollIntoView({ block: "nearest" });
  }

  close() {
    URL.revokeObjectURL(this.address);
    this.element.remove();
  }
}

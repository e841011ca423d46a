// The network: probabilities of the emotions, and where in the face their evidence lies.

export class Network {
  // `session` is onnxruntime's, of the network; `about` is the content of model.json.
  constructor(ort, session, about) {
    this.ort = ort;
    this.session = session;
    this.about = about;
  }

  // Predicts on the crops of faces, each a picture of the network's size and channels.
  // Returns { probabilities: one number per class, heat: { data, width, height } } for each.
  async predict(crops) {
    if (!crops.length) return [];
    const { side } = this.about.resize;
    const colours = this.about.image.channels === "RGB" ? [3] : [];
    const size = crops[0].data.length;
    const pixels = new Uint8Array(size * crops.length);
    crops.forEach((crop, index) => pixels.set(crop.data, index * size));
    const faces = new this.ort.Tensor("uint8", pixels, [crops.length, side, side, ...colours]);
    const { probabilities, heat } = await this.session.run({ faces });
    const classes = this.about.classes.length;
    const [, height, width] = heat.dims;
    return crops.map((_, index) => ({
      probabilities: [...probabilities.data.subarray(index * classes, (index + 1) * classes)],
      heat: { data: heat.data.slice(index * height * width, (index + 1) * height * width), width, height },
    }));
  }
}

// The fields of a face as `faceemo predict` writes them.
export function describeFace({ box, region, face_confidence, reason }, { probabilities, heat }, about) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const doubt = reason || (probabilities[best] >= about.thresholds.unsure ? "" : about.check.reasons.improbable);
  const sure = !doubt;
  return {
    status: sure ? "ok" : "unsure",
    label: sure ? about.classes[best] : null,
    leaning: about.classes[best],
    probability: probabilities[best],
    probabilities: Object.fromEntries(about.classes.map((name, index) => [name, probabilities[index]])),
    box,
    region,
    face_confidence,
    reason: doubt,
    heat,
  };
}

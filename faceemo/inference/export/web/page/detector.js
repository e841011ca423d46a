// The search for faces: the same network, passes and limits as `faceemo predict`.

import { isFilled, move, roundHundredths, suppress, suppressOverlaps } from "./boxes.js";
import { resizeAsOpenCv, roundHalfEven } from "./resize.js";
import { searchTiles } from "./tiles.js";

export class Detector {
  // `session` is onnxruntime's, of the detector; `about` is the content of model.json.
  constructor(ort, session, about) {
    this.ort = ort;
    this.session = session;
    this.about = about.detector;
    this.threshold = about.thresholds.face;
  }

  // Detections { confidence, box } in an RGBA picture that is resized to width x height pixels.
  async forward(picture, width, height) {
    const scaled = resizeAsOpenCv(picture, width, height);
    const pixels = toBgr(scaled);
    const image = new this.ort.Tensor("uint8", pixels.data, [1, height, width, 3]);
    const outputs = await this.session.run({ image });
    const sides = [picture.width, picture.height];
    return this.readOutputs(outputs, width, height).map(({ confidence, box }) => ({
      confidence,
      box: box.map((edge, index) => roundHundredths(edge * sides[index % 2])),
    }));
  }

  // What Caffe's PriorBox, Softmax and DetectionOutput layers do; boxes are shares of the image.
  readOutputs(outputs, width, height) {
    const { maps, at_least, before_nms, nms_iou, after_nms } = this.about.output;
    const found = [];
    maps.forEach(({ sizes, step, offset, variance }, number) => {
      const locations = outputs[`locations_${number}`];
      const confidences = outputs[`confidences_${number}`].data;
      const [, rows, columns] = locations.dims;
      let index = 0;
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          for (const [wide, high] of sizes) {
            const confidence = softmaxOfTwo(confidences[2 * index], confidences[2 * index + 1]);
            if (confidence > at_least) {
              const prior = [
                ((column + offset) * step) / width,
                ((row + offset) * step) / height,
                wide / width,
                high / height,
              ];
              const moves = locations.data.subarray(4 * index, 4 * index + 4);
              found.push({ confidence, box: decodeBox(prior, moves, variance) });
            }
            index++;
          }
        }
      }
    });
    found.sort((one, other) => other.confidence - one.confidence);
    return suppress(found.slice(0, before_nms), nms_iou).slice(0, after_nms);
  }

  // All faces of an RGBA picture, { confidence, box }, from left to right.
  // `quick` makes one pass at the smallest size only, as a live camera needs.
  async search(picture, { quick = false, onProgress = () => {} } = {}) {
    const { photograph, small_image } = this.about;
    const longer = Math.max(picture.width, picture.height);
    if (longer <= small_image.longer_side_at_most) return this.searchSmall(picture);
    const sizes = [[photograph.square, photograph.square]];
    if (longer > photograph.square && !quick) {
      const scale = Math.min(1, photograph.longer_side / longer), step = photograph.multiple_of;
      sizes.push(
        [picture.width, picture.height].map((side) =>
          Math.max(step, roundHalfEven((side * scale) / step) * step),
        ),
      );
    }
    let found = [];
    for (const [width, height] of sizes) found = found.concat(await this.forward(picture, width, height));
    found = found.filter(({ confidence, box }) => confidence > this.threshold && isFilled(box));
    let faces = suppressOverlaps(found, this.about.suppression);
    if (!quick) faces = faces.concat(await searchTiles(this, picture, faces, onProgress));
    return faces.sort((one, other) => one.box[0] - other.box[0]);
  }

  // A picture no larger than the training images has at most one face.
  async searchSmall(picture) {
    let best = { confidence: 0 };
    for (const { side, enough } of this.about.small_image.passes) {
      best = { confidence: 0 };
      for (const one of await this.forward(picture, side, side)) {
        if (one.confidence > best.confidence) best = one;
      }
      if (best.confidence > enough) break;
    }
    return best.confidence > this.threshold ? [best] : [];
  }
}

const softmaxOfTwo = (first, second) => Math.fround(1 / (1 + Math.exp(first - second)));

function decodeBox([x, y, wide, high], moves, variance) {
  const centerX = variance[0] * moves[0] * wide + x;
  const centerY = variance[1] * moves[1] * high + y;
  const halfWide = (Math.exp(variance[2] * moves[2]) * wide) / 2;
  const halfHigh = (Math.exp(variance[3] * moves[3]) * high) / 2;
  return [centerX - halfWide, centerY - halfHigh, centerX + halfWide, centerY + halfHigh].map(Math.fround);
}

function toBgr(picture) {
  const { data, width, height } = picture;
  const result = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    result[to++] = data[from + 2];
    result[to++] = data[from + 1];
    result[to++] = data[from];
  }
  return { data: result, width, height, channels: 3 };
}

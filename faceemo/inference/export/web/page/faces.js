// From an RGBA picture to the crops that the network takes, as training images were cut.

import { findDoubt } from "./check.js";
import { cut, resizeAsPillow, roundHalfEven } from "./resize.js";

// Faces { box, face_confidence, region, crop, reason } of an RGBA picture, from left to right. What turns
// out to be no face is left out; `reason` says why an emotion cannot be told, "" if it can.
export async function findFaces(detector, picture, about, options) {
  const found = await detector.search(picture, options);
  const whole = about.crop.whole_image;
  const longer = Math.max(picture.width, picture.height);
  const shorter = Math.min(picture.width, picture.height);
  const limits = whole.or_one_face_and;
  const isCrop = (box) =>
    longer <= limits.longer_by_shorter_side_at_most * shorter &&
    box[3] - box[1] >= limits.box_height_by_image_height_at_least * picture.height;
  const takeWhole = found.length === 1 && (longer <= whole.longer_side_at_most || isCrop(found[0].box));
  const faces = [];
  for (const { confidence, box } of found) {
    const region = takeWhole ? [0, 0, picture.width, picture.height] : squareAround(box, about.crop);
    const face = { box, face_confidence: confidence, region, crop: takeCrop(picture, region, about) };
    const reason = await findDoubt(detector, picture, face, about.check);
    if (reason !== null) faces.push({ ...face, reason });
  }
  return faces;
}

function squareAround([left, top, right, bottom], { square_side_by_box_height }) {
  const side = Math.max(1, roundHalfEven(square_side_by_box_height * (bottom - top)));
  const x = roundHalfEven((left + right - side) / 2), y = roundHalfEven((top + bottom - side) / 2);
  return [x, y, x + side, y + side];
}

// Cuts a region and resizes it to the network's input: a picture of 1 channel (grey) or 3 (RGB).
export function takeCrop(picture, region, about) {
  const square = cut(picture, region);
  const convert = about.image.channels === "RGB" ? dropAlpha : toGrey;
  return resizeAsPillow(convert(square), about.resize.side, about.resize.side);
}

// Pillow's conversion to grey.
export function toGrey({ data, width, height }) {
  const result = new Uint8ClampedArray(width * height);
  for (let from = 0, to = 0; to < result.length; from += 4, to++) {
    result[to] = (19595 * data[from] + 38470 * data[from + 1] + 7471 * data[from + 2] + 32768) >> 16;
  }
  return { data: result, width, height, channels: 1 };
}

function dropAlpha({ data, width, height }) {
  const result = new Uint8ClampedArray(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    for (let c = 0; c < 3; c++) result[to++] = data[from + c];
  }
  return { data: result, width, height, channels: 3 };
}

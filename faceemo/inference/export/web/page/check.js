// Whether what was found is a face whose emotion can be told: a second look of the detector, the
// face's size and its sharpness, as `faceemo predict` judges them.

import { iou, isFilled } from "./boxes.js";
import { cut, makePicture, resizeAsOpenCv, resizeByArea, roundHalfEven } from "./resize.js";

// Why a face's emotion cannot be told, "" if it can, and null if there is no face.
// `face` is { box, region, crop } in an RGBA picture.
export async function findDoubt(detector, picture, face, about) {
  const { box, region, crop } = face;
  const whole = region.join() === [0, 0, picture.width, picture.height].join();
  const look = (context, quarters) => lookAgain(detector, picture, whole ? region : box, context, quarters, about);
  const context = whole ? about.whole : about.portrait;
  const upright = await look(context, 0);
  let near = 0, turned = [];
  if (upright < about.upright) {
    for (const quarters of [1, 2, 3]) turned.push(await look(context, quarters));
    if (upright < about.clear && !whole) near = await look(about.near, 0);
  }
  const most = Math.max(...turned);
  if (turned.length && most >= Math.max(about.clear, upright)) {
    return turned.indexOf(most) === 1 ? about.reasons.upside_down : about.reasons.turned;
  }
  if (Math.max(upright, near) < about.none) return null;
  const side = Math.min(region[2] - region[0], region[3] - region[1]);
  if (side < about.min_side) return about.reasons.small.replace(/\{side[^}]*\}/, side);
  if (measureSharpness(crop, about.sharpness_side) < about.min_sharpness) return about.reasons.blurred;
  return upright >= about.clear ? "" : about.reasons.unclear;
}

// The detector's confidence that a place, turned anticlockwise by quarters, shows a face.
async function lookAgain(detector, picture, [left, top, right, bottom], context, quarters, { side, same_iou }) {
  const extent = Math.max(1, roundHalfEven(context * Math.max(right - left, bottom - top)));
  const x = roundHalfEven((left + right - extent) / 2), y = roundHalfEven((top + bottom - extent) / 2);
  const resize = side < extent ? resizeByArea : resizeAsOpenCv;
  let square = resize(cut(picture, [x, y, x + extent, y + extent]), side, side);
  for (let turn = 0; turn < quarters; turn++) square = turnAnticlockwise(square);
  const low = (side / 2) * (1 - 1 / context), high = (side / 2) * (1 + 1 / context);
  const least = context > 1 ? same_iou : 0;
  const found = (await detector.forward(square, side, side)).filter(
    ({ box }) => isFilled(box) && iou([low, low, high, high], box) > least,
  );
  return Math.max(0, ...found.map(({ confidence }) => confidence));
}

function turnAnticlockwise({ data, width, height, channels }) {
  const result = makePicture(height, width, channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * channels, to = ((width - 1 - x) * height + y) * channels;
      for (let c = 0; c < channels; c++) result.data[to + c] = data[from + c];
    }
  }
  return result;
}

// The variance of the Laplacian by that of the pixels.
function measureSharpness(crop, side) {
  let grey = crop.channels === 3 ? toGrey(crop) : crop;
  if (grey.width > side) grey = resizeByArea(grey, side, side);
  const { data, width, height } = grey;
  const reflect = (at, length) => (at < 0 ? 1 : at >= length ? length - 2 : at);
  const pixel = (x, y) => data[reflect(y, height) * width + reflect(x, width)];
  const edges = Float64Array.from(data, (value, index) => {
    const x = index % width, y = Math.floor(index / width);
    return pixel(x - 1, y) + pixel(x + 1, y) + pixel(x, y - 1) + pixel(x, y + 1) - 4 * value;
  });
  const spread = variance(data);
  return spread ? variance(edges) / spread : 0;
}

function variance(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}

// OpenCV's conversion to grey.
function toGrey({ data, width, height }) {
  const result = makePicture(width, height, 1);
  for (let from = 0, to = 0; to < result.data.length; from += 3, to++) {
    result.data[to] = (4899 * data[from] + 9617 * data[from + 1] + 1868 * data[from + 2] + 8192) >> 14;
  }
  return result;
}

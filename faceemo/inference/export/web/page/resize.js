// Resizing and cutting of pixels, number for number as Pillow and OpenCV do it.
//
// A picture is { data: Uint8Array or Uint8ClampedArray, width, height, channels }.

const PILLOW_BITS = 22; // of Pillow's fixed-point weights
const OPENCV_ONE = 2048; // OpenCV's fixed-point one

// Rounds halves to the even number, as Python and C's rint do.
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

const clamp = (value, low, high) => (value < low ? low : value > high ? high : value);

export function makePicture(width, height, channels) {
  return { data: new Uint8ClampedArray(width * height * channels), width, height, channels };
}

// Cuts a box [left, top, right, bottom] of whole numbers; beyond the edge the nearest pixel repeats.
export function cut(picture, [left, top, right, bottom]) {
  const { data, width, height, channels } = picture;
  const result = makePicture(right - left, bottom - top, channels);
  for (let y = top, to = 0; y < bottom; y++) {
    const row = clamp(y, 0, height - 1) * width;
    for (let x = left; x < right; x++) {
      const from = (row + clamp(x, 0, width - 1)) * channels;
      for (let c = 0; c < channels; c++) result.data[to++] = data[from + c];
    }
  }
  return result;
}

// Pillow's resize with Resampling.BILINEAR: a triangle filter, as wide as the reduction. Pillow 13
// begins with the rows for squares and for pictures that grow; for some that are higher than wide it
// begins with the columns, and a number may then differ by one.
export function resizeAsPillow(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  return pillowVertical(pillowHorizontal(picture, width), height);
}

function pillowWeights(before, after) {
  const scale = before / after;
  const support = Math.max(scale, 1);
  return Array.from({ length: after }, (_, index) => {
    const center = (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), before);
    const weights = [];
    let total = 0;
    for (let at = first; at < end; at++) {
      const weight = Math.max(0, 1 - Math.abs((at - center + 0.5) * (1 / support)));
      weights.push(weight);
      total += weight;
    }
    const one = 2 ** PILLOW_BITS;
    return { first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / total) * one)) };
  });
}

function pillowHorizontal(picture, width) {
  const { data, height, channels } = picture;
  const result = makePicture(width, height, channels);
  const columns = pillowWeights(picture.width, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      for (let c = 0; c < channels; c++) {
        let sum = 2 ** (PILLOW_BITS - 1);
        let from = (y * picture.width + first) * channels + c;
        for (let k = 0; k < weights.length; k++, from += channels) sum += data[from] * weights[k];
        result.data[(y * width + x) * channels + c] = sum >> PILLOW_BITS;
      }
    }
  }
  return result;
}

function pillowVertical(picture, height) {
  const { data, width, channels } = picture;
  const result = makePicture(width, height, channels);
  const stride = width * channels;
  pillowWeights(picture.height, height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < stride; x++) {
      let sum = 2 ** (PILLOW_BITS - 1);
      for (let k = 0; k < weights.length; k++) sum += data[(first + k) * stride + x] * weights[k];
      result.data[y * stride + x] = sum >> PILLOW_BITS;
    }
  });
  return result;
}

// cv2.resize with INTER_LINEAR, which skips pixels where it shrinks.
export function resizeAsOpenCv(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  if (picture.width === 2 * width && picture.height === 2 * height) {
    return resizeByArea(picture, width, height); // OpenCV takes the mean there too
  }
  return interpolate(picture, linearWeights(picture.width, width), linearWeights(picture.height, height));
}

// cv2.resize with INTER_AREA.
export function resizeByArea(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  if (picture.width < width || picture.height < height) {
    return interpolate(picture, areaLinearWeights(picture.width, width), areaLinearWeights(picture.height, height));
  }
  const wide = picture.width / width, high = picture.height / height;
  if (Number.isInteger(wide) && Number.isInteger(high)) return averageBlocks(picture, wide, high);
  return averageAreas(picture, width, height);
}

// For each place of the result the first of two neighbours and the weight of the second.
function linearWeights(before, after) {
  const scale = 1 / (after / before);
  return Array.from({ length: after }, (_, index) => {
    const at = Math.fround((index + 0.5) * scale - 0.5);
    const first = Math.floor(at);
    return [first, Math.fround(at - first)];
  });
}

function areaLinearWeights(before, after) {
  const inverse = after / before, scale = 1 / inverse;
  return Array.from({ length: after }, (_, index) => {
    const first = Math.floor(index * scale);
    const share = Math.fround(index + 1 - (first + 1) * inverse);
    return [first, share <= 0 ? 0 : Math.fround(share - Math.floor(share))];
  });
}

const toFixed = (share) => [
  roundHalfEven(Math.fround(Math.fround(1 - share) * OPENCV_ONE)),
  roundHalfEven(Math.fround(share * OPENCV_ONE)),
];

function interpolate(picture, columns, rows) {
  const { data, channels } = picture;
  const width = columns.length, stride = width * channels;
  const result = makePicture(width, rows.length, channels);
  const horizontal = columns.map(([first, share]) => {
    if (first < 0) return [0, 0, OPENCV_ONE, 0];
    if (first >= picture.width - 1) return [picture.width - 1, picture.width - 1, OPENCV_ONE, 0];
    return [first, first + 1, ...toFixed(share)];
  });
  const made = new Map(); // the last two rows, which neighbours share
  const getRow = (wanted) => {
    const y = clamp(wanted, 0, picture.height - 1);
    if (!made.has(y)) {
      const row = new Int32Array(stride);
      horizontal.forEach(([first, second, one, other], x) => {
        for (let c = 0; c < channels; c++) {
          const start = y * picture.width;
          row[x * channels + c] =
            data[(start + first) * channels + c] * one + data[(start + second) * channels + c] * other;
        }
      });
      if (made.size > 1) made.delete(made.keys().next().value);
      made.set(y, row);
    }
    return made.get(y);
  };
  rows.forEach(([first, share], y) => {
    const above = getRow(first), below = getRow(first + 1);
    const [one, other] = toFixed(share);
    for (let x = 0; x < stride; x++) {
      result.data[y * stride + x] =
        (((one * (above[x] >> 4)) >> 16) + ((other * (below[x] >> 4)) >> 16) + 2) >> 2;
    }
  });
  return result;
}

function averageBlocks(picture, wide, high) {
  const { data, channels } = picture;
  const width = picture.width / wide, height = picture.height / high;
  const result = makePicture(width, height, channels);
  const scale = Math.fround(1 / (wide * high));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let row = y * high; row < (y + 1) * high; row++) {
          for (let column = x * wide; column < (x + 1) * wide; column++) {
            sum += data[(row * picture.width + column) * channels + c];
          }
        }
        result.data[(y * width + x) * channels + c] =
          wide === 2 && high === 2 ? (sum + 2) >> 2 : roundHalfEven(Math.fround(sum * scale));
      }
    }
  }
  return result;
}

// Which pixels before each pixel after covers, and with which share of it: those of pixel i are at
// starts[i] to starts[i + 1] - 1 of `places` and `shares`.
function areaShares(before, after) {
  const scale = 1 / (after / before);
  const starts = [0], places = [], shares = [];
  const add = (place, share) => {
    places.push(place);
    shares.push(Math.fround(share));
  };
  for (let index = 0; index < after; index++) {
    const start = index * scale, end = start + scale;
    const cell = Math.min(scale, before - start);
    const last = Math.min(Math.floor(end), before - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) add(first - 1, (first - start) / cell);
    for (let at = first; at < last; at++) add(at, 1 / cell);
    if (end - last > 1e-3) add(last, Math.min(Math.min(end - last, 1), cell) / cell);
    starts.push(places.length);
  }
  return { starts: Int32Array.from(starts), places: Int32Array.from(places), shares: Float32Array.from(shares) };
}

function averageAreas(picture, width, height) {
  const { data, channels } = picture;
  const result = makePicture(width, height, channels);
  const columns = areaShares(picture.width, width), rows = areaShares(picture.height, height);
  const stride = width * channels;
  const row = new Float32Array(stride), sum = new Float32Array(stride);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (let k = rows.starts[y]; k < rows.starts[y + 1]; k++) {
      const line = rows.places[k] * picture.width, high = rows.shares[k];
      row.fill(0);
      for (let x = 0; x < width; x++) {
        for (let l = columns.starts[x]; l < columns.starts[x + 1]; l++) {
          const at = (line + columns.places[l]) * channels, wide = columns.shares[l];
          for (let c = 0; c < channels; c++) row[x * channels + c] += Math.fround(data[at + c] * wide);
        }
      }
      for (let x = 0; x < stride; x++) sum[x] += Math.fround(high * row[x]);
    }
    for (let x = 0; x < stride; x++) result.data[y * stride + x] = roundHalfEven(sum[x]);
  }
  return result;
}

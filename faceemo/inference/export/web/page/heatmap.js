// Heat maps over faces: bright where the evidence for the most probable emotion is.

const SIDE = 96; // pixels of the picture; the browser enlarges it smoothly
// Dark violet through red to light yellow, in even steps.
const SHADES = [
  [0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99],
  [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164],
];

// A canvas of a map { data, width, height } of numbers from 0; transparent where they are 0.
export function drawHeat(heat) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  const peak = Math.max(...heat.data);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const share = peak > 0 ? sample(heat, (x + 0.5) / SIDE, (y + 0.5) / SIDE) / peak : 0;
      image.data.set([...shade(share), Math.round(255 * 0.75 * share ** 0.7)], 4 * (y * SIDE + x));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// The map's value at a place, 0..1 from left and top, by linear interpolation.
function sample({ data, width, height }, across, down) {
  const [x, y] = [across * width - 0.5, down * height - 0.5];
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const at = (column, row) =>
    data[Math.min(Math.max(row, 0), height - 1) * width + Math.min(Math.max(column, 0), width - 1)];
  const mix = (first, second, share) => first + (second - first) * share;
  return mix(
    mix(at(left, top), at(left + 1, top), x - left),
    mix(at(left, top + 1), at(left + 1, top + 1), x - left),
    y - top,
  );
}

function shade(share) {
  const place = Math.min(Math.max(share, 0), 1) * (SHADES.length - 1);
  const first = Math.min(Math.floor(place), SHADES.length - 2);
  return SHADES[first].map((value, c) => Math.round(value + (SHADES[first + 1][c] - value) * (place - first)));
}

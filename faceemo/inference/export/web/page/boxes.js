// Boxes [left, top, right, bottom] and what follows from them alone.

const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);

function sharedArea(first, second) {
  return area([
    Math.max(first[0], second[0]),
    Math.max(first[1], second[1]),
    Math.min(first[2], second[2]),
    Math.min(first[3], second[3]),
  ]);
}

export function iou(first, second) {
  const shared = sharedArea(first, second);
  return shared / (area(first) + area(second) - shared);
}

// Whether two boxes show one face, or a face and a part of it; `limits` are { iou, inside }.
export function showOneFace(first, second, limits) {
  const inside = sharedArea(first, second) / Math.min(area(first), area(second));
  return iou(first, second) > limits.iou || inside > limits.inside;
}

export const isFilled = (box) => box[2] > box[0] && box[3] > box[1];

const byConfidence = (one, other) => other.confidence - one.confidence;

// Keeps the most confident detection { confidence, box } of each face, the most confident first.
export function suppressOverlaps(detections, limits) {
  const kept = [];
  for (const one of [...detections].sort(byConfidence)) {
    if (!kept.some((other) => showOneFace(one.box, other.box, limits))) kept.push(one);
  }
  return kept;
}

// Plain non-maximum suppression: drops what overlaps a more confident detection by more than `limit`.
export function suppress(detections, limit) {
  const kept = [];
  for (const one of [...detections].sort(byConfidence)) {
    if (kept.every((other) => iou(one.box, other.box) <= limit)) kept.push(one);
  }
  return kept;
}

// The box moved by an offset and scaled then, to hundredths of a pixel.
export const move = (box, offset, scale) =>
  box.map((edge, index) => roundHundredths((edge + offset[index % 2]) * scale[index % 2]));

export const roundHundredths = (value) => Number(value.toFixed(2));

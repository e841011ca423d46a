// The search of a large photograph for small faces, tile by tile.
//
// What the detector finds in a tile is a candidate; a second look at it alone, enlarged, decides.

import { iou, isFilled, move, showOneFace, suppress, suppressOverlaps } from "./boxes.js";
import { cut, resizeAsOpenCv, resizeByArea, roundHalfEven } from "./resize.js";

// Faces that are missing from `known`, in no order; both are lists of { confidence, box }.
export async function searchTiles(detector, picture, known, onProgress) {
  const { tiles, photograph, suppression } = detector.about;
  const longer = Math.max(picture.width, picture.height);
  const searched =
    longer > photograph.square ? Math.min(1, photograph.longer_side / longer) : photograph.square / longer;
  const shorter = Math.min(picture.width, picture.height);
  const isKnown = (box) => known.some((face) => showOneFace(box, face.box, suppression));
  const found = [];
  let scale = tiles.smallest_in_tile / tiles.min_face;
  while (scale > searched && shorter * scale >= tiles.smallest_in_tile / 2) {
    for (const box of await findCandidates(detector, picture, scale, onProgress)) {
      const face = isKnown(box) ? null : await lookAgain(detector, picture, box);
      if (face) found.push(face);
    }
    scale /= tiles.ratio;
  }
  return suppressOverlaps(found, suppression).filter(({ box }) => !isKnown(box));
}

async function findCandidates(detector, picture, scale, onProgress) {
  const { tiles } = detector.about;
  const [wide, high] = [picture.width, picture.height].map(
    (side) => Math.ceil((side * scale) / tiles.step) * tiles.step,
  );
  const resize = wide < picture.width ? resizeByArea : resizeAsOpenCv;
  const shrunk = resize(picture, wide, high);
  const limit = Math.min(tiles.candidate, detector.threshold);
  const [lefts, tileWidth] = split(wide, tiles), [tops, tileHeight] = split(high, tiles);
  const back = [picture.width / wide, picture.height / high];
  const shorter = Math.min(picture.width, picture.height);
  const found = [];
  const count = tops.length * lefts.length;
  let number = 0;
  for (const top of tops) {
    for (const left of lefts) {
      onProgress(`Searching for small faces, part ${++number} of ${count}`);
      const tile = cut(shrunk, [left, top, left + tileWidth, top + tileHeight]);
      const inTile = (await detector.forward(tile, tileWidth, tileHeight))
        .filter(({ confidence, box }) => confidence > limit && isFilled(box))
        .map(({ confidence, box }) => ({ confidence, box: move(box, [left, top], back) }))
        .filter(({ box }) => mayBeFace(box, shorter, tiles))
        .sort((one, other) => other.confidence - one.confidence);
      const sure = inTile.filter(({ confidence }) => confidence > tiles.sure).length;
      found.push(...inTile.slice(0, sure + tiles.max_unsure));
    }
  }
  return suppress(found, tiles.nms_iou).map(({ box }) => box);
}

async function lookAgain(detector, picture, candidate) {
  const { tiles, photograph } = detector.about;
  const [left, top, right, bottom] = candidate;
  const extent = Math.max(1, roundHalfEven(tiles.context * Math.max(right - left, bottom - top)));
  const x = roundHalfEven((left + right - extent) / 2), y = roundHalfEven((top + bottom - extent) / 2);
  const side = photograph.square;
  const resize = side < extent ? resizeByArea : resizeAsOpenCv;
  const look = resize(cut(picture, [x, y, x + extent, y + extent]), side, side);
  const scale = extent / side;
  let best = null;
  for (const { confidence, box } of await detector.forward(look, side, side)) {
    if (!isFilled(box) || confidence <= Math.max(detector.threshold, tiles.confirmed)) continue;
    const moved = move(box, [x / scale, y / scale], [scale, scale]);
    if (iou(moved, candidate) > tiles.same_iou && confidence > (best?.confidence ?? 0)) {
      best = { confidence, box: moved };
    }
  }
  return best;
}

// Where the tiles along one side begin, and their length.
function split(length, { overlap, step, max_tile }) {
  const count = Math.max(1, Math.ceil((length - overlap) / (max_tile - overlap)));
  const tile = Math.ceil(((length - overlap) / count + overlap) / step) * step;
  const starts = Array.from({ length: count }, (_, index) =>
    roundHalfEven((index * (length - tile)) / Math.max(1, count - 1)),
  );
  return [starts, tile];
}

function mayBeFace(box, shorter, { max_aspect, max_extent }) {
  const [low, high] = [box[2] - box[0], box[3] - box[1]].sort((one, other) => one - other);
  return high <= Math.min(max_aspect * low, max_extent * shorter);
}

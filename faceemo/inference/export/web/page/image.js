// Decoding of photographs to upright RGBA pixels, without conversion of colours.

import { readXmpOrientation } from "./orientation.js";

const OPTIONS = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };

// A picture { data, width, height, channels: 4 } of a Blob. Where browsers would show the file on its
// side, the picture has an upright copy too, the Blob `upright`. The message of an error is for users.
export async function decodePhoto(blob) {
  const head = new Uint8Array(await blob.slice(0, 2 ** 18).arrayBuffer());
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, OPTIONS);
  } catch (error) {
    throw new Error(describeFailure(head, blob.size), { cause: error });
  }
  try {
    const orientation = readXmpOrientation(head);
    const canvas = drawUpright(bitmap, orientation);
    const upright = orientation === 1 ? null : await canvas.convertToBlob();
    return { ...readPixels(canvas), upright };
  } finally {
    bitmap.close();
  }
}

// The pixels of an ImageBitmap that is upright.
export const takePixels = (bitmap) => readPixels(drawUpright(bitmap, 1));

// A canvas with an ImageBitmap that is turned upright by an orientation of 1 to 8.
function drawUpright(bitmap, orientation) {
  const { width, height } = bitmap;
  const sideways = orientation >= 5;
  const canvas = new OffscreenCanvas(sideways ? height : width, sideways ? width : height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.setTransform(...TRANSFORMS[orientation](width, height));
  context.drawImage(bitmap, 0, 0);
  return canvas;
}

function readPixels(canvas) {
  const { width, height } = canvas;
  try {
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return { data, width, height, channels: 4 };
  } catch (error) {
    const size = `${width} × ${height} pixels`;
    throw new Error(`With ${size} this picture is too large for this browser. Scale it down first.`, { cause: error });
  }
}

// Canvas transforms by EXIF's orientation, for a stored picture of w x h pixels.
const TRANSFORMS = {
  1: () => [1, 0, 0, 1, 0, 0],
  2: (w) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0],
  7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w) => [0, -1, 1, 0, 0, w],
};

function describeFailure(head, size) {
  if (!size) return "This file is empty.";
  const text = (from, to) => String.fromCharCode(...head.subarray(from, to));
  if (text(4, 8) === "ftyp" && /^(hei|hev|mif1|msf1)/.test(text(8, 12))) {
    return "This is a HEIC photograph, which this browser cannot open. Save it as JPEG first, or use Safari.";
  }
  if (/^(II\*\0|MM\0\*)/.test(text(0, 4))) {
    return "This is a TIFF picture, which this browser cannot open. Save it as JPEG or PNG first.";
  }
  if (text(4, 8) === "ftyp" || text(0, 4) === "\x1aE\xdf\xa3") {
    return "This looks like a film. This page takes photographs; faceemo predict takes films.";
  }
  if (text(0, 4) === "%PDF") return "This is a PDF document, not a picture. Save the picture in it as JPEG or PNG.";
  const known = head[0] === 0xff && head[1] === 0xd8 ? "JPEG" : text(1, 4) === "PNG" ? "PNG" : "";
  if (known) return `This ${known} picture is damaged and cannot be opened.`;
  return "This is not a picture that this browser can open. It opens JPEG, PNG, WebP, GIF, BMP and AVIF.";
}

// The orientation of a JPEG photograph that only its XMP tells: browsers read EXIF alone.

const EXIF = [0x45, 0x78, 0x69, 0x66, 0, 0]; // "Exif\0\0"
const ORIENTATION = 0x0112;

// The orientation, 1 to 8, that the browser has not applied, from the beginning of a file.
export function readXmpOrientation(head) {
  if (head[0] !== 0xff || head[1] !== 0xd8) return 1;
  let xmp = null;
  for (const { marker, content } of listSegments(head)) {
    if (marker !== 0xe1) continue;
    if (EXIF.every((byte, index) => content[index] === byte)) {
      if (readExifOrientation(content.subarray(EXIF.length))) return 1; // the browser reads it
    } else {
      const text = new TextDecoder("latin1").decode(content);
      xmp ??= /tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])/.exec(text)?.[1];
    }
  }
  return Number(xmp ?? 1);
}

function* listSegments(head) {
  let at = 2;
  while (at + 4 <= head.length && head[at] === 0xff && head[at + 1] !== 0xda) {
    if (head[at + 1] === 0xff) {
      at += 1; // padding
      continue;
    }
    const length = (head[at + 2] << 8) | head[at + 3];
    yield { marker: head[at + 1], content: head.subarray(at + 4, at + 2 + length) };
    at += 2 + length;
  }
}

// EXIF's orientation, 1 to 8; 0 if there is none.
function readExifOrientation(tiff) {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const start = view.getUint32(4, little);
    const count = view.getUint16(start, little);
    for (let index = 0; index < count; index++) {
      const entry = start + 2 + 12 * index;
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      const value = view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : 0;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the directory is cut off
  }
  return 0;
}

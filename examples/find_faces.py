"""Finds the faces of a photograph and cuts them out, as faceemo does; needs no faceemo.

All numbers come from FILE.json, which `faceemo export` writes beside FILE. The detector's two files
are those that faceemo has fetched, or yours (README.md).
"""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from boxes import Box, area, iou, shared_area
from check_faces import find_doubt
from PIL import Image, ImageOps
from tiles import search_tiles

CACHE = Path(os.environ.get("FACEEMO_CACHE") or Path.home() / ".cache" / "faceemo")


def find_faces(path: str, about: dict[str, Any], folder: Path = CACHE) -> list[dict[str, Any]]:
    """Finds the faces of an image file, from left to right.

    Args:
        path: The image.
        about: The content of FILE.json.
        folder: The folder with the detector's two files.

    Returns:
        For each face its box, face_confidence, region (the part of the image that was cut out),
        crop, uint8 [S, S] or [S, S, RGB], and doubt (why its emotion cannot be told, or '').
    """
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGBA").convert("RGB")
    channels = "RGB" if about["image"]["channels"] == "RGB" else "L"
    pixels = np.asarray(image.convert(channels))
    bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
    detector = Detector(about, folder)
    found = detector.search(bgr)
    whole, size = about["crop"]["whole_image"], about["resize"]["side"]
    high, wide = pixels.shape[:2]
    small = max(wide, high) <= whole["longer_side_at_most"]
    if len(found) == 1 and (small or _is_crop(pixels, found[0][1], whole["or_one_face_and"])):
        regions = [(0, 0, wide, high)]
    else:
        regions = [_square(box, about["crop"]["square_side_by_box_height"]) for _, box in found]
    faces = [
        {
            "box": list(box),
            "face_confidence": confidence,
            "region": list(region),
            "crop": _cut(pixels, region, size),
        }
        for (confidence, box), region in zip(found, regions, strict=True)
    ]
    for face in faces:
        face["doubt"] = find_doubt(detector, bgr, face["box"], face["region"], face["crop"])
    return [face for face in faces if face["doubt"] is not None]


class Detector:
    """OpenCV's res10 network; `forward` and `search` return pairs of confidence and box."""

    def __init__(self, about: dict[str, Any], folder: Path):
        """Reads the network's files; two lines of the published description are corrected."""
        self.about, self.threshold = about["detector"], about["thresholds"]["face"]
        self.check = about["check"]
        text = (folder / self.about["prototxt"]["file"]).read_text()
        for wrong, right in self.about["prototxt"]["replace"].items():
            text = text.replace(wrong, right)
        weights = np.fromfile(folder / self.about["weights"]["file"], np.uint8)
        self.network = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8), weights)

    def forward(self, image: np.ndarray, size: tuple[int, int]) -> list[tuple[float, Box]]:
        """Runs the network on an image of uint8 [H, W, BGR], resized to `size` (width, height)."""
        scaled = cv2.resize(image, size)
        self.network.setInput(cv2.dnn.blobFromImage(scaled, 1.0, size, self.about["mean"]))
        high, wide = image.shape[:2]
        rows = [row for row in self.network.forward()[0, 0] if row[0] >= 0]
        boxes = [np.round(row[3:] * (wide, high, wide, high), 2).tolist() for row in rows]
        return [(float(str(row[2])), tuple(box)) for row, box in zip(rows, boxes, strict=True)]

    def search(self, image: np.ndarray) -> list[tuple[float, Box]]:
        """Finds the faces of an image, uint8 [H, W, BGR]."""
        about, photo = self.about, self.about["photograph"]
        longer = max(image.shape[:2])
        if longer <= about["small_image"]["longer_side_at_most"]:
            for one in about["small_image"]["passes"]:
                boxes = self.forward(image, (one["side"], one["side"]))
                best = max(boxes, key=lambda box: box[0], default=(0.0, ()))
                if best[0] > one["enough"]:
                    break
            return [best] if best[0] > self.threshold else []
        sizes = [(photo["square"], photo["square"])]
        if longer > photo["square"]:
            step, scale = photo["multiple_of"], min(1.0, photo["longer_side"] / longer)
            high, wide = (max(step, round(x * scale / step) * step) for x in image.shape[:2])
            sizes.append((wide, high))
        found = [one for size in sizes for one in self.forward(image, size)]
        known = self.suppress(
            (confidence, box)
            for confidence, box in found
            if confidence > self.threshold and box[2] > box[0] and box[3] > box[1]
        )
        known += search_tiles(self, image, known)
        return sorted(known, key=lambda one: one[1][0])

    def suppress(self, found: Any) -> list[tuple[float, Box]]:
        """Keeps the most confident box of each face."""
        kept = []
        for one in sorted(found, key=lambda one: -one[0]):
            if not any(self.is_same(one[1], other) for _, other in kept):
                kept.append(one)
        return kept

    def is_same(self, first: Box, second: Box) -> bool:
        """Returns whether two boxes show one face, or a face and a part of it."""
        limits = self.about["suppression"]
        inside = shared_area(first, second) / min(area(first), area(second))
        return iou(first, second) > limits["iou"] or inside > limits["inside"]


def _is_crop(pixels: np.ndarray, box: Box, limits: dict[str, Any]) -> bool:
    high, wide = pixels.shape[:2]
    square = max(wide, high) <= limits["longer_by_shorter_side_at_most"] * min(wide, high)
    return square and box[3] - box[1] >= limits["box_height_by_image_height_at_least"] * high


def _square(box: Box, side_by_height: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    side = max(1, round(side_by_height * (bottom - top)))
    left, top = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return left, top, left + side, top + side


def _cut(pixels: np.ndarray, region: tuple[int, int, int, int], size: int) -> np.ndarray:
    left, top, right, bottom = region
    rows = np.clip(np.arange(top, bottom), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, right), 0, pixels.shape[1] - 1)
    square = Image.fromarray(pixels[np.ix_(rows, columns)])
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))

"""From a picture to the squares that the network is shown, as the training images were cut."""

import dataclasses
import functools

import numpy as np
from PIL import Image

from faceemo.data.measure.boxes import Box, Detection
from faceemo.data.measure.decode import Pixels, resize_square
from faceemo.data.measure.face_detector import Detector
from faceemo.data.measure.face_search import FaceSearch

# A training image is a square as high as the detector's box, around its centre: over 19,689 images
# of FER2013 (48x48) the median box is 0.999 of the image high, 0.842 wide, and its centre lies at
# 0.509 and 0.518 of the sides.
_MARGIN = 1.0  # side of the square per height of the box
# In 99% of them the box is at least this high: a square image with such a box is a crop already.
_FILLS = 0.66
_SQUARE = 1.1  # longer by shorter side, up to which an image is as good as square


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face as the network is shown it.

    Attributes:
        crop: uint8 [S, S], grey.
        region: what of the picture it shows: left, top, right, bottom, in pixels; it may reach
            beyond the picture.
        box: of the detector, in pixels of the picture; None where it was not asked.
        confidence: of the detector, likewise.
    """

    crop: np.ndarray
    region: Box
    box: Box | None = None
    confidence: float | None = None


class FaceFinder:
    """Finds and cuts the faces of pictures.

    Args:
        size: side of the crops, pixels: at which the training images were kept.
        threshold: a face is where the detector's confidence is above it.
        exact: whether small images are screened at 300 pixels only, see `Detector`.
    """

    def __init__(self, size: int, threshold: float, *, exact: bool = False):
        self._size, self._threshold, self._exact = size, threshold, exact

    def faces(self, pixels: Pixels) -> list[Face]:
        """The faces of a picture, from left to right; none if it shows none.

        A picture no larger than the training images is screened as they were, and taken whole: a
        part of it would hold less than they do. So is a square one that a face fills. Any other is
        searched for all its faces.
        """
        if max(pixels.grey.shape) <= self._size:
            (best,) = self._detector.detect([pixels.bgr])
            found = [best] if best.confidence > self._threshold else []
        else:
            found = self._search.search(pixels.bgr, self._threshold)
        if len(found) == 1 and (
            max(pixels.grey.shape) <= self._size or is_crop(pixels.grey.shape, found[0])
        ):
            return [dataclasses.replace(self.whole(pixels), **_seen(found[0]))]
        return [
            Face(cut(pixels.grey, square, self._size), square, **_seen(one))
            for one, square in ((one, square_around(one)) for one in found)
        ]

    def whole(self, pixels: Pixels) -> Face:
        """The whole picture as a face, unseen by the detector."""
        height, width = pixels.grey.shape
        return Face(resize_square(Image.fromarray(pixels.grey), self._size), (0, 0, width, height))

    # Read when first needed: crops that are said to be crops need neither.
    @functools.cached_property
    def _detector(self) -> Detector:
        return Detector(workers=1, exact=self._exact)

    @functools.cached_property
    def _search(self) -> FaceSearch:
        return FaceSearch()


def is_crop(shape: tuple[int, ...], face: Detection) -> bool:
    """Whether an image [H, W] is as good as square and filled by its face."""
    height, width = shape
    _, top, _, bottom = _box(face)
    return max(height, width) <= _SQUARE * min(height, width) and bottom - top >= _FILLS * height


def square_around(face: Detection) -> tuple[int, int, int, int]:
    """The square that shows a face as training images do: left, top, right, bottom, in pixels."""
    left, top, right, bottom = _box(face)
    side = max(1, round(_MARGIN * (bottom - top)))
    left, top = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return left, top, left + side, top + side


def cut(grey: np.ndarray, square: tuple[int, int, int, int], size: int) -> np.ndarray:
    """A square of a picture, uint8 [size, size].

    Beyond the edge of uint8 [H, W] its nearest pixel stands, as in augmented training images.
    """
    left, top, right, bottom = square
    height, width = grey.shape
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return resize_square(Image.fromarray(grey[np.ix_(rows, columns)]), size)


def _box(face: Detection) -> Box:
    assert face.box is not None  # it was found above a threshold of 0 or more
    return face.box


def _seen(face: Detection) -> dict:
    return {"box": face.box, "confidence": face.confidence}

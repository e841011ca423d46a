"""Faces found in images and cut out as the network's input, as the training images were."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from PIL import Image

from faceemo.config.image_format import ImageFormat
from faceemo.data.measure.boxes import Box, Detection, scale_box
from faceemo.data.measure.cutting import cut_out
from faceemo.data.measure.decode import Pixels, resize_square
from faceemo.data.measure.face_detector import MAX_CASCADE_THRESHOLD, Detector
from faceemo.data.measure.face_search import MIN_FACE, FaceSearch
from faceemo.data.measure.second_look import SecondLook
from faceemo.errors import UserError
from faceemo.inference.detector.choose import choose
from faceemo.inference.engine.names import AUTO
from faceemo.inference.face_check import PORTRAIT, Evidence, FaceCheck, judge

# A training image is a square as high as the detector's box, around its centre: over 19,689 images
# of FER2013 (48x48) the median box is 0.999 of the image high, 0.842 wide, and its centre lies at
# 0.509 and 0.518 of the sides.
SIDE_PER_HEIGHT = 1.0  # side of the square per height of the box
# In 99% of the training images the box is at least this high: a square image with such a box is a
# crop already.
MIN_CROP_HEIGHT = 0.66
# Confidence of a second look above which a face that was found a moment ago is still there. Faces
# that are hard to tell, and those that move, have less in some frames than `face_check.NONE`.
STILL_THERE = 0.3
MAX_CROP_ASPECT = 1.1  # longer by shorter side, up to which an image counts as square


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face as input of the network.

    Attributes:
        crop: The face's pixels, uint8 [S, S] in grey, or [S, S, 3] in colour (RGB).
        region: The part of the image that `crop` shows: left, top, right, bottom, in pixels; it may
            reach beyond the image.
        box: The detector's box, in pixels of the image; None if the detector did not run.
        confidence: The detector's confidence, 0..1; None if the detector did not run.
        doubt: Why the face is not one whose emotion can be told, see `face_check`; otherwise empty.
        evidence: What that is judged by; None if it is not checked.
    """

    crop: np.ndarray
    region: Box
    box: Box | None = None
    confidence: float | None = None
    doubt: str = ""
    evidence: Evidence | None = None

    def scale(self, factor: int) -> Self:
        """Returns this face in an image whose sides are `factor` times as long."""
        return dataclasses.replace(
            self,
            region=scale_box(self.region, factor),
            box=scale_box(self.box, factor) if self.box else None,
        )


class FaceFinder:
    """Finds the faces of images and cuts them out; thread-safe.

    Args:
        form: Format of the crops: that in which the training images are stored.
        threshold: Threshold of the training images: faces are detections with a confidence above
            it, 0..1.
        exact: Whether small images are screened at 300 pixels only, see `Detector`.
        other_threshold: The threshold in its place, from 0 to below 1, or None.
        min_face: Height in pixels of the smallest faces, see `predictor.load`.
        check: Whether faces are checked, see `face_check`.
        engine: What runs the detector, see `detector.choose`.

    Attributes:
        threshold: The threshold that is used.

    Raises:
        UserError: If `other_threshold` or `min_face` is out of range.
    """

    def __init__(
        self,
        form: ImageFormat,
        threshold: float,
        *,
        exact: bool = False,
        other_threshold: float | None = None,
        min_face: float | None = None,
        check: bool = True,
        engine: str = AUTO,
    ):
        if other_threshold is not None and not 0 <= other_threshold < 1:
            raise UserError(
                expected="a face_threshold from 0 to below 1",
                found=f"{other_threshold:g}",
                fix="give one in this range, such as 0.5",
            )
        if min_face is not None and not MIN_FACE <= min_face < math.inf:
            raise UserError(
                expected=f"a min_face of at least {MIN_FACE} pixels",
                found=f"{min_face:g}",
                fix=f"give {MIN_FACE} or more, or enlarge the images first: the detector does not "
                "see smaller faces",
            )
        self._form, self._min_height = form, min_face or 0
        self._engine = engine
        self._face_check = FaceCheck(lambda: self._second_look) if check else None
        self.threshold = threshold if other_threshold is None else other_threshold
        # The decisions of the detector's cascade hold up to a threshold.
        changed = other_threshold is not None and other_threshold != threshold
        self._exact = exact or (changed and self.threshold > MAX_CASCADE_THRESHOLD)

    def find(self, pixels: Pixels) -> list[Face]:
        """Finds the faces of an image, from left to right.

        An image no larger than the training images is screened as they were. If it shows a face, it
        is taken whole, because a part of it would hold less detail than they do. Any larger image
        is searched for all its faces; if it is nearly square and its only face fills it, it is
        taken whole too. What turns out to be no face when it is checked is left out.
        """
        min_height = self._min_height / pixels.reduction
        if max(pixels.grey.shape) <= self._form.size:
            (best,) = self._detector.detect([pixels.bgr])
            found = [best] if best.confidence > self.threshold else []
        else:
            smallest = max(MIN_FACE, min_height or self._form.size)
            found = self._search.search(pixels.bgr, self.threshold, smallest)
        found = [one for one in found if _height(one) >= min_height]
        if len(found) == 1 and (
            max(pixels.grey.shape) <= self._form.size or is_crop(pixels.grey.shape, found[0])
        ):
            (face,) = found
            whole = self.take_whole(pixels)
            faces = [dataclasses.replace(whole, box=face.box, confidence=face.confidence)]
        else:
            faces = [self._cut_face(pixels, one) for one in found]
        return [checked for one in faces for checked in self._check(pixels, one)]

    def look_again(self, pixels: Pixels, boxes: Sequence[Box]) -> list[Detection | None]:
        """Finds faces again near the places where they were in the frame before.

        This takes a fraction of the time of `find`, which alone finds other faces.

        Args:
            pixels: The frame.
            boxes: The places, pixels.

        Returns:
            For each place its detection by a second look; None if the face is lost, or smaller
            than what `find` keeps.
        """
        if not boxes:
            return []
        found = self._second_look.find_again(pixels.bgr, boxes, PORTRAIT)
        return [
            one
            if one and one.confidence > STILL_THERE and _height(one) >= max(1, self._min_height)
            else None
            for one in found
        ]

    def take_again(self, pixels: Pixels, detection: Detection, before: Face) -> Face:
        """Cuts out a face that was found again.

        It keeps the detector's confidence, and whether it is clear and upright was judged when it
        was searched for; whether it is large and sharp enough is judged anew.

        Args:
            pixels: The frame.
            detection: Where it is now.
            before: The face as `find` found it.
        """
        kept = dataclasses.replace(detection, confidence=before.confidence or 0.0)
        face = dataclasses.replace(self._cut_face(pixels, kept), evidence=before.evidence)
        checked = self._check(pixels, face)
        return checked[0] if checked else face

    def check_whole(self, images: Sequence[Pixels]) -> list[list[Face]]:
        """Takes each whole image as a face, or as none if it turns out to be none."""
        faces = [self.take_whole(pixels) for pixels in images]
        if self._face_check is None:
            return [[face] for face in faces]
        evidence = self._face_check.gather_crops(
            [pixels.bgr for pixels in images],
            [face.crop for face in faces],
            [_measure_side(*pair) for pair in zip(images, faces, strict=True)],
        )
        return [_judge(*pair) for pair in zip(faces, evidence, strict=True)]

    def take_whole(self, pixels: Pixels) -> Face:
        """Takes the whole image as a face, without the detector."""
        whole = find_frame(pixels)
        return Face(cut_square(pixels, whole, self._form), whole)

    def _check(self, pixels: Pixels, face: Face) -> list[Face]:
        """Returns the face with what is doubtful about it; none if it turns out to be none."""
        if self._face_check is None:
            return [face]
        whole = face.region == find_frame(pixels)
        evidence = self._face_check.gather(
            pixels.bgr,
            face.crop,
            face.region if whole or face.box is None else face.box,
            whole=whole,
            side=_measure_side(pixels, face),
            known=face.evidence,
        )
        return _judge(face, evidence)

    def _cut_face(self, pixels: Pixels, detection: Detection) -> Face:
        square = square_around(detection)
        crop = cut_square(pixels, square, self._form)
        return Face(crop, square, detection.box, detection.confidence)

    # Loaded when first needed: images that are declared to be crops need neither. Two threads may
    # load one each at first; each uses its own then.
    @functools.cached_property
    def _detector(self) -> Detector:
        return Detector(workers=1, exact=self._exact, make_network=choose(self._engine))

    @functools.cached_property
    def _second_look(self) -> SecondLook:
        return SecondLook(choose(self._engine))

    @functools.cached_property
    def _search(self) -> FaceSearch:
        return FaceSearch(choose(self._engine))


def is_crop(shape: tuple[int, ...], face: Detection) -> bool:
    """Returns whether an image of shape [H, W] is nearly square and filled by its face."""
    height, width = shape
    nearly_square = max(height, width) <= MAX_CROP_ASPECT * min(height, width)
    return nearly_square and _height(face) >= MIN_CROP_HEIGHT * height


def square_around(face: Detection) -> tuple[int, int, int, int]:
    """Computes the square that shows a face as training images do.

    Returns:
        Left, top, right and bottom, in pixels; the square may reach beyond the image.
    """
    left, top, right, bottom = _box(face)
    side = max(1, round(SIDE_PER_HEIGHT * (bottom - top)))
    left, top = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return left, top, left + side, top + side


def cut_square(pixels: Pixels, box: tuple[int, int, int, int], form: ImageFormat) -> np.ndarray:
    """Cuts a box out of an image and resizes it to a square: uint8 [S, S] or [S, S, 3] (RGB).

    Pixels beyond the edge take the value of the nearest pixel, as in augmented training images.
    """
    source = cut_out(pixels.bgr if form.in_colour else pixels.grey, *box)
    if source.shape[:2] == (form.size, form.size):
        crop = source.copy()
    else:
        crop = resize_square(Image.fromarray(source), form.size)
    # reversed only now that it is small; Pillow resizes each channel alone
    return np.ascontiguousarray(crop[..., ::-1]) if form.in_colour else crop


def find_frame(pixels: Pixels) -> tuple[int, int, int, int]:
    """Returns the whole image as a box."""
    height, width = pixels.grey.shape
    return 0, 0, width, height


def _judge(face: Face, evidence: Evidence) -> list[Face]:
    """Returns the face with what is doubtful about it; none if it turns out to be none."""
    doubt = judge(evidence)
    if doubt is None:
        return []
    confidence = evidence.look if face.confidence is None else face.confidence
    return [dataclasses.replace(face, confidence=confidence, doubt=doubt, evidence=evidence)]


def _measure_side(pixels: Pixels, face: Face) -> float:
    """Returns the side of the network's part of the image, pixels of the original."""
    left, top, right, bottom = face.region
    return min(right - left, bottom - top) * pixels.reduction


def _height(face: Detection) -> float:
    _, top, _, bottom = _box(face)
    return bottom - top


def _box(face: Detection) -> Box:
    assert face.box is not None  # its confidence is above a threshold of 0 or more
    return face.box

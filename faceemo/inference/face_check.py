"""Whether what was found is a face, and one whose emotion can be told.

A network gives every square an emotion, and is sure of many that show a dog or a blurred face: its
calibration is about faces like those that it learned from. So each face is judged before its
probabilities are: by a second look of the detector (`second_look`), by its height in the original
and by its sharpness in the crop.

The thresholds were chosen on images that `builtin` did not learn from. The effect of the check on
others is in docs/results.md, measured by `scripts/evaluate_face_check.py`.

- `CLEAR` and `NONE` on photographs of animals and things with 62 detections that are no faces and
  16 that are (12 from the front), and on 150 crops of FER2013's PublicTest.
- `MIN_SIDE` and `MIN_SHARPNESS` on 220 crops of PublicTest, which were reduced and blurred: below
  them, builtin's predictions that count as sure are right in fewer than three of four cases
  (without damage: in 93 of 100), while their mean probability stays above 0.8.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from faceemo.data.measure.boxes import Box
from faceemo.data.measure.second_look import SecondLook

# Confidence of the second look from which on a face is clearly one. Of detections in photographs,
# 12 of 12 faces from the front reach 0.93 and no other thing 0.89. Of crops, 95% of faces and 11%
# of what the detector had taken for faces before reach 0.93.
CLEAR = 0.9
# Above it nobody looks whether the face is turned: of faces of PublicTest that are turned by 90
# degrees, 14 of 100 reach 0.9, and of those on their heads 33.
UPRIGHT = 0.98
# Below it there is no face. A photograph is looked at twice: 16 of 16 faces, four of which are seen
# from the side, reach 0.68 in one of the looks.
NONE = 0.5
MIN_SIDE = 24  # pixels of the original
# Variance of the Laplacian by that of the pixels, at 48 pixels: 0.2 to 1.6 for 98% of the faces.
MIN_SHARPNESS = 0.03
SHARPNESS_SIDE = 48  # pixels at which sharpness is measured; smaller crops stay as they are

PORTRAIT, NEAR, WHOLE = 2.0, 1.5, 1.0  # sides of the squares of second looks, by the box

SMALL = "the face is only {side:.0f} pixels high"
UNCLEAR = "not clearly a face: hidden, seen from the side or something else"
BLURRED = "the face is too blurred"
TURNED = {
    1: "the face is turned by about 90 degrees",
    2: "the face is upside down",
    3: "the face is turned by about 90 degrees",
}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known about a face before its emotion is predicted.

    Attributes:
        side: The side of the network's part of the image, pixels of the original.
        sharpness: The crop's sharpness, see `measure_sharpness`.
        look: The confidence of the second look, 0..1.
        near: That of a second look from nearer, 0..1; 0 if there is none.
        turned: Those of second looks at the place turned by one to three quarters; empty if the
            place as it is shows a face that is upright.
    """

    side: float
    sharpness: float
    look: float
    near: float = 0.0
    turned: tuple[float, ...] = ()


def judge(evidence: Evidence) -> str | None:
    """Judges a face.

    Returns:
        Why its emotion cannot be told; empty if it can; None if there is no face.
    """
    turn = 1 + int(np.argmax(evidence.turned)) if evidence.turned else 0
    if turn and evidence.turned[turn - 1] >= max(CLEAR, evidence.look):
        return TURNED[turn]
    if max(evidence.look, evidence.near) < NONE:
        return None
    if evidence.side < MIN_SIDE:
        return SMALL.format(side=evidence.side)
    if evidence.sharpness < MIN_SHARPNESS:
        return BLURRED
    return "" if evidence.look >= CLEAR else UNCLEAR


def measure_sharpness(crop: np.ndarray) -> float:
    """Computes the variance of the Laplacian by that of the pixels, at 48 pixels.

    Args:
        crop: uint8 [S, S] or [S, S, RGB].

    Returns:
        At least 0; 0 for a crop of one colour.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
    if len(grey) > SHARPNESS_SIDE:
        size = (SHARPNESS_SIDE, SHARPNESS_SIDE)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    variance = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()) / variance if variance else 0.0


class FaceCheck:
    """The judge of faces; thread-safe.

    Args:
        make_look: Makes the detector of second looks when the first face is judged.
    """

    def __init__(self, make_look: Callable[[], SecondLook] = SecondLook):
        self._make_look = make_look

    def gather(
        self,
        bgr: np.ndarray,
        crop: np.ndarray,
        place: Box,
        *,
        whole: bool,
        side: float,
        known: Evidence | None = None,
    ) -> Evidence:
        """Gathers what `judge` needs.

        Args:
            bgr: The image, uint8 [H, W, BGR].
            crop: The face as the network's input, uint8 [S, S] or [S, S, RGB].
            place: The place of the face, pixels of the image.
            whole: Whether the place is the whole image, around which there is nothing to see.
            side: The side of the network's part of the image, pixels of the original.
            known: The evidence of the same face a moment ago, whose second looks still count, so
                that there are no others; None if there is none.

        Raises:
            UserError: If the detector's files can be neither found nor downloaded.
        """
        if known is not None:
            return dataclasses.replace(known, side=side, sharpness=measure_sharpness(crop))
        look = functools.partial(self._second_look.look, bgr, place)
        context = WHOLE if whole else PORTRAIT
        (upright,) = look(context)
        evidence = Evidence(side, measure_sharpness(crop), upright)
        if upright >= UPRIGHT:
            return evidence
        near = 0.0 if whole or upright >= CLEAR else look(NEAR)[0]
        return dataclasses.replace(evidence, near=near, turned=tuple(look(context, (1, 2, 3))))

    def gather_crops(
        self, images: Sequence[np.ndarray], crops: Sequence[np.ndarray], sides: Sequence[float]
    ) -> list[Evidence]:
        """Gathers what `judge` needs of images that are face crops, of all of them together.

        Args:
            images: The images, uint8 [H, W, BGR], of any sizes.
            crops: Them as the network's input, see `gather`.
            sides: The side of each, see `gather`.

        Raises:
            UserError: If the detector's files can be neither found nor downloaded.
        """
        upright = [one for (one,) in self._second_look.look_at_crops(images)]
        doubtful = [number for number, one in enumerate(upright) if one < UPRIGHT]
        looks = self._second_look.look_at_crops([images[one] for one in doubtful], (1, 2, 3))
        turned = dict(zip(doubtful, looks, strict=True))
        return [
            Evidence(side, measure_sharpness(crop), look, turned=tuple(turned.get(number, ())))
            for number, (crop, side, look) in enumerate(zip(crops, sides, upright, strict=True))
        ]

    # Loaded when first needed; two threads may load one each at first.
    @functools.cached_property
    def _second_look(self) -> SecondLook:
        return self._make_look()

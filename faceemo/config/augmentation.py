"""The augmentation levels: the limits within which training draws its random transforms."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The limits of one augmentation level. All draws are uniform; the defaults change nothing.

    Attributes:
        shift: Largest shift in either direction, as a share of the width and of the height.
        zoom: Largest change of scale: each axis draws its own factor in 1 - zoom to 1 + zoom.
        flip: Probability of a horizontal flip.
        rotation: Largest rotation in either direction, in degrees.
        stretch_contrast: Whether each image's minimum becomes 0 and its maximum 255.
        gamma: Smallest and largest exponent of the brightness, which is in 0 to 1.
    """

    shift: float = 0.0
    zoom: float = 0.0
    flip: float = 0.0
    rotation: float = 0.0
    stretch_contrast: bool = False
    gamma: tuple[float, float] = (1.0, 1.0)

    @property
    def changes_brightness(self) -> bool:
        """Whether augmented images have another mean or contrast than plain ones, by design."""
        return self.stretch_contrast or self.gamma != (1.0, 1.0)


_LOW = Augmentation(shift=0.05, zoom=0.05, flip=0.5)
_MID = dataclasses.replace(_LOW, rotation=15.0)
_HIGH = dataclasses.replace(_MID, stretch_contrast=True, gamma=(0.5, 2.0))

# The study's levels, from the weakest to the strongest. A level is added here and nowhere else: the
# field `augmentation`, the training step and the sheet of augmentations read this table.
AUGMENTATIONS = {"none": Augmentation(), "low": _LOW, "mid": _MID, "high": _HIGH}

"""The rules that decide the fate of images: a policy and thresholds that a user may change."""

import dataclasses
from typing import Any, Self

from ml_collections import ConfigDict

from faceemo.config import POLICIES, RULES, TARGETS
from faceemo.errors import UserError

ORIGINAL, STRICT, KEEP = POLICIES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules that `faceemo.data.ledger.judge` applies; every value is within its range.

    The attributes have the names of the configuration's fields.

    Attributes:
        policy: 'strict': no group of duplicates of any kind spans two splits, all readable test
            images stay; 'original': equal dHash in train and validation, as in the original;
            'keep': all images that can be decoded stay, duplicates included.
        face_threshold: Confidence of the detector above which an image shows a face, 0..1.
        near_distance: Maximum number of bits in which the hashes of near duplicates differ.
        near_similarity: Least similarity of the pixels of near duplicates.
        suspect_below: Out-of-fold probability of its label below which a train image is left out;
            0 leaves none out.
        targets: What the network is trained to predict, one of `faceemo.config.TARGETS`; all but
            'label' leave out images on which the votes do not agree.

    Raises:
        UserError: If a value is outside its range (`faceemo.config`).
    """

    policy: str = STRICT
    face_threshold: float = 0.5
    near_distance: int = 2
    near_similarity: float = 0.7
    suspect_below: float = 0.0
    targets: str = "label"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            rule = RULES[field.name]
            value = getattr(self, field.name)
            if not rule.holds(value):
                raise UserError(
                    expected=f"{field.name} to be one of these values: {rule.takes}",
                    found=f"{value!r}",
                    fix=f"the default is {field.default!r}",
                )

    def to_record(self) -> dict[str, Any]:
        """Returns the rules as JSON; without the targets 'label', which older records lack."""
        return {name: value for name, value in vars(self).items() if value != TARGETS[0]}

    @classmethod
    def from_config(cls, config: ConfigDict) -> Self:
        """Takes the rules from a run's configuration."""
        return cls(**{field.name: config[field.name] for field in dataclasses.fields(cls)})

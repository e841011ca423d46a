"""What decides an image's fate: the numbers and the policy that a user may change."""

import argparse
import dataclasses

from ml_collections import ConfigDict

from faceemo.config import POLICIES, RULES
from faceemo.errors import UserError

ORIGINAL, STRICT, KEEP = POLICIES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of `faceemo.data.ledger.judge`; those that exist are within their ranges.

    Attributes:
        policy: 'original': equal dHash in train and validation, as in the original; 'strict':
            no group of duplicates of any kind spans two splits, test stays whole; 'keep': all that
            can be decoded, which undoes the others.
        face_threshold: an image shows a face where the detector's confidence is above it, 0..1.
        near_distance: bits up to which two hashes propose a near duplicate.
        near_similarity: of the pixels, from which on it is one.
        suspect_below: train images whose label has a lower out-of-fold probability are left out;
            0 leaves none out.

    Raises:
        UserError: if a value is outside its range (`faceemo.config`).
    """

    policy: str = ORIGINAL
    face_threshold: float = 0.5
    near_distance: int = 2
    near_similarity: float = 0.7
    suspect_below: float = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            rule = RULES[field.name]
            value = getattr(self, field.name)
            if not rule.holds(value):
                raise UserError(
                    expected=f"{field.name} within {rule.takes}",
                    found=f"{value!r}",
                    fix=f"the default is {field.default!r}",
                )


def of_config(config: ConfigDict) -> Rules:
    """The rules that a configuration asks for."""
    return Rules(**{field.name: config[field.name] for field in dataclasses.fields(Rules)})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An option of a script for every rule."""
    for field in dataclasses.fields(Rules):
        takes = RULES[field.name].takes
        parser.add_argument(
            f"--{field.name}",
            type=type(field.default),
            default=field.default,
            help=f"{takes}; default: {field.default}",
        )


def of_options(options: argparse.Namespace) -> Rules:
    """The rules that a script's options ask for."""
    return Rules(
        **{field.name: getattr(options, field.name) for field in dataclasses.fields(Rules)}
    )

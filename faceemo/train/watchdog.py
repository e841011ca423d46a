"""What goes wrong in training without an error of its own, said with its likely cause and the fix.

Some of it ends the run (there is nothing to be had from going on), the collapse is a warning.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from faceemo.config import AUGMENTATIONS
from faceemo.data.pipeline import Batch, Split
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train import steps
from faceemo.train.state import TrainState

# Entropy, in nats, of the distribution of answers: 0.1 is 98% in one class and 2% in another.
_COLLAPSED = 0.1
# Answers that are nearly all the same can be right, where nearly all labels are: no collapse if, on
# balance, this share of what a constant answer gets wrong is right.
_GAIN = 0.1
# Images that are looked at, evenly spread over a split.
_SAMPLE = 64
# How many times the contrast of one split may be that of the other, and how far apart their means
# may be as a share of all that pixels can be. Scaling twice makes a contrast 255 times smaller;
# shifts, zooms, rotations and pictures of another day stay well within both.
_CONTRAST, _DISTANCE = 4.0, 0.35


def refuse_nonfinite(sums: Mapping[str, Any], epoch: int, step: int, config: ConfigDict) -> None:
    """Ends a run whose numbers have broken, before anything broken is saved.

    Args:
        sums: of the step, see `faceemo.train.steps`.
        epoch: from 1.
        step: in the epoch, from 1.
        config: of the run.

    Raises:
        UserError: if the loss or a gradient is NaN or infinite.
    """
    loss, broken = float(sums["loss"] / sums["count"]), int(sums["broken_gradients"])
    if math.isfinite(loss) and not broken:
        return
    if math.isfinite(loss):
        found = f"{broken:,} gradients that are not (the loss still is: {loss:g})"
        cause = "a step of the backward pass overflows"
    else:
        found = f"the loss {loss}"
        cause = "earlier steps were too large, and activations overflow"
    if config.dtype != "float32":
        cause += f", in {config.dtype} sooner than in float32"
    raise UserError(
        expected="finite losses and gradients",
        found=f"{found} in epoch {epoch}, step {step}; likely {cause}",
        fix=f"lower learning_rate (now {config.learning_rate:g})"
        + ("" if config.dtype == "float32" else " or set dtype=float32")
        + " and start in another --workdir: the same command would meet the same numbers again",
    )


def refuse_nonfinite_answers(
    logits: np.ndarray, epoch: int, config: ConfigDict, *, moving: bool
) -> None:
    """Ends a run whose weights no longer answer, before they are saved as any good.

    Args:
        logits: float [N, C], of validation.
        epoch: from 1.
        config: of the run.
        moving: whether validation uses moving averages of BatchNorm that training does not use.

    Raises:
        UserError: if any of them is NaN or infinite.
    """
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if not broken:
        return
    cause = "weights have grown until activations overflow"
    fix = f"lower learning_rate (now {config.learning_rate:g})"
    if moving:
        cause = f"BatchNorm's moving statistics lag behind what training saw, or {cause}"
        fix = f"set bn_policy=recalibrate, or {fix}"
    if config.dtype != "float32":
        fix += ", or set dtype=float32"
    raise UserError(
        expected="finite logits on validation",
        found=f"{broken:,} of {len(logits):,} images without, after epoch {epoch} of finite losses "
        f"and gradients; likely {cause}",
        fix=f"{fix}, and start in another --workdir: the same command would meet the same again",
    )


def collapse(
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    train_accuracy: float,
    moving: bool,
) -> str | None:
    """A warning if (nearly) all validation images get the same answer without cause, else None.

    Accuracy is then (nearly) the share of that class, and says nothing about the model.

    Args:
        logits: float [N, C].
        labels: int [N].
        classes: C names.
        train_accuracy: of the same epoch.
        moving: as of `refuse_nonfinite_answers`.
    """
    counts = np.bincount(logits.argmax(axis=1), minlength=len(classes))
    shares = counts[counts > 0] / counts.sum()
    entropy = abs(float((shares * np.log(shares)).sum()))
    if entropy >= _COLLAPSED or len(labels) < 2:
        return None
    answer = int(counts.argmax())
    name, top = classes[answer], counts.max() / counts.sum()
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    share = float((labels == answer).mean())
    if accuracy > share + _GAIN * (1 - share):
        return None
    # What a constant answer could reach in training, and clearly more than that.
    learned = train_accuracy > np.bincount(labels).max() / len(labels) + 0.1
    if learned and moving:
        cause = "training images are told apart, so BatchNorm's moving statistics lag behind"
        fix = "bn_policy=recalibrate, a smaller batch_size or more epochs"
    elif learned:
        cause = "training images are told apart, so validation images differ from them"
        fix = "compare the two (scripts/explore_data.py, scripts/view_augmentations.py)"
    else:
        cause = "training has not told classes apart either: too large steps, or too few"
        fix = "a lower learning_rate (or a higher one, if the loss hardly moves), more epochs"
    return (
        f"validation has collapsed: {top:.0%} of the answers are '{name}' (entropy "
        f"{entropy:.2f} of {math.log(len(classes)):.2f}), so that accuracy {accuracy:.3f} is "
        f"nothing but that class's share, {share:.3f}. Likely cause: {cause}. Fix: {fix}"
    )


def refuse_foreign_labels(split: Split, classes: Sequence[str], outputs: int, name: str) -> None:
    """Ends a run whose labels are not those of the class list.

    Args:
        split: some images.
        classes: the names that labels are places in.
        outputs: how many logits the model has.
        name: of the split; every class must occur in 'train'.

    Raises:
        UserError: if the model answers another number of classes, a label is outside the list, a
            folder's name contradicts its label, or a class has no training image.
    """
    found = ""
    outside = np.flatnonzero((split.labels < 0) | (split.labels >= len(classes)))
    empty = [c for place, c in enumerate(classes) if not (split.labels == place).any()]
    if outputs != len(classes):
        found = f"a model with {outputs} outputs"
    elif len(outside):
        place = int(outside[0])
        found = f"label {split.labels[place]} on {split.paths[place]} ({len(outside)} such images)"
    elif wrong := _contradicted(split, classes):
        found = f"{wrong[0]} ({len(wrong)} such images)"
    elif name == "train" and empty:
        found = f"no training image of {', '.join(empty)}"
    if found:
        raise UserError(
            expected=f"{name} labels that are places in the class list {', '.join(classes)}",
            found=f"{found}; likely the data was made with another class list, or another order",
            fix="make folders and class list the same, then remove the prepared tfds/ folder so "
            "that it is built again",
        )


def _contradicted(split: Split, classes: Sequence[str]) -> list[str]:
    """Images SPLIT/CLASS/FILE whose label is not CLASS."""
    folders = [path.split("/")[-2] if "/" in path else "" for path in split.paths]
    return [
        f"{path} labelled '{classes[label]}'"
        for path, folder, label in zip(split.paths, folders, split.labels, strict=True)
        if folder in classes and folder != classes[label]
    ]


@dataclasses.dataclass(frozen=True)
class _Look:
    """Of one channel of some images: all their values' limits and mean, the middle contrast."""

    low: float
    high: float
    mean: float
    contrast: float

    @classmethod
    def of(cls, images: Any) -> "_Look":
        values = np.asarray(images, np.float32).reshape(len(images), -1)
        contrast = float(np.median(np.ptp(values, axis=1)))
        return cls(float(values.min()), float(values.max()), float(values.mean()), contrast)

    def is_like(self, other: "_Look", span: float, *, stretched: bool) -> bool:
        """Whether `other`, of validation, is on the same scale; `stretched` images lie elsewhere.

        Stretching widens an image to all of the span, wherever it was.
        """
        if self.contrast * _CONTRAST < other.contrast:
            return False
        wide = other.contrast * _CONTRAST < self.contrast
        return stretched or not (wide or abs(self.mean - other.mean) > _DISTANCE * span)


def refuse_unlike_pixels(
    splits: Mapping[str, Split],
    state: TrainState,
    model: Model,
    preprocessing: Preprocessing,
    augmentation: str,
) -> None:
    """Ends a run whose network would be shown other pixels in training than in validation.

    Compares what comes out of augmentation and preprocessing: contrast and mean of some images of
    either split, and their limits with those of pixels from 0 to 255. More contrast in training,
    and another mean, are no fault where the level stretches contrast by design.

    Args:
        splits: 'train' and 'validation'.
        state: whose key augmentation is drawn with.
        model: for its input size.
        preprocessing: that belongs to the weights.
        augmentation: A level, a key of `faceemo.config.AUGMENTATIONS`.

    Raises:
        UserError: if they disagree.
    """
    train, validation = (_sample(splits[name]) for name in ("train", "validation"))
    if not len(train.labels) or not len(validation.labels):
        return

    def trained() -> jax.Array:
        epoch = jnp.int32(0)
        shown = steps.training_inputs(state, train, epoch, model, preprocessing, augmentation)
        return shown.inputs

    def validated() -> jax.Array:
        return steps.plain_inputs(validation.images, model, preprocessing)

    # All channels are the same but for their means.
    ours, theirs = (_Look.of(jax.jit(inputs)()[..., 0]) for inputs in (trained, validated))
    limits = preprocess(jnp.array([0.0, 255.0]).reshape(2, 1, 1), preprocessing)[:, 0, 0, 0]
    low, high = map(float, limits)
    slack = 0.01 * (high - low)
    within = (
        low - slack <= min(ours.low, theirs.low) and max(ours.high, theirs.high) <= high + slack
    )
    stretched = AUGMENTATIONS[augmentation].changes_brightness
    if within and ours.is_like(theirs, high - low, stretched=stretched):
        return
    before = _Look.of(train.images), _Look.of(validation.images)
    if not before[0].is_like(before[1], 255, stretched=stretched):
        cause = "the files of the two splits were prepared differently"
        fix = "look at both (scripts/explore_data.py) and bring them to the same range, 0 to 255"
    else:
        cause = "the files agree, so pixels are scaled or shifted twice on the way"
        fix = (
            f"augmentation '{augmentation}' (faceemo/data/augment/augment.py) has to return "
            "0 to 255, and only faceemo/models/preprocessing.py may scale"
        )
    raise UserError(
        expected="training and validation images of like brightness and contrast after "
        f"preprocessing, within {low:.4g} to {high:.4g}",
        found=f"{_said(ours)} in training, {_said(theirs)} in validation; likely {cause}",
        fix=fix,
    )


def _said(look: _Look) -> str:
    return f"{look.low:.4g} to {look.high:.4g} (mean {look.mean:.4g}, contrast {look.contrast:.4g})"


def _sample(split: Split) -> Batch:
    index = np.unique(np.linspace(0, len(split) - 1, _SAMPLE).astype(np.int32))
    if not len(split):
        index = index[:0]
    mask = np.ones(len(index), np.float32)
    return Batch(split.images[index], split.labels[index], mask, index)

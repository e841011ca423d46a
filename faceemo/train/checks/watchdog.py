"""Checks for faults of training that raise no error of their own, with likely cause and fix.

Every fault here ends the run; `faceemo.train.checks.collapse` warns of one that does not.
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
from faceemo.config.field_words import spell
from faceemo.data.pipeline import Batch, Split
from faceemo.errors import UserError
from faceemo.models.preprocessing import preprocess
from faceemo.train import parallel, steps
from faceemo.train.eval_step import plain_inputs
from faceemo.train.start import Start
from faceemo.train.state import TrainState

# Number of images to compare, spread evenly over a split.
_SAMPLE = 64
# Largest ratio of two splits' contrasts, and largest distance of their means as a share of the
# pixels' range. Scaling twice makes a contrast 255 times smaller; shifts, zooms, rotations and
# photos of another day stay well within both.
_CONTRAST, _DISTANCE = 4.0, 0.35


def refuse_nonfinite(sums: Mapping[str, Any], epoch: int, step: int, config: ConfigDict) -> None:
    """Refuses a loss or a gradient that is not finite, before anything is saved.

    Args:
        sums: The sums of the step, see `faceemo.train.steps.make_train_step`.
        epoch: Number of the epoch, from 1.
        step: Number of the step in the epoch, from 1.
        config: The run's configuration.

    Raises:
        UserError: If the loss or a gradient is NaN or infinite.
    """
    loss, broken = float(sums["loss"] / sums["count"]), int(sums["broken_gradients"])
    if math.isfinite(loss) and not broken:
        return
    if math.isfinite(loss):
        found = f"{broken:,} non-finite gradients (and the finite loss {loss:g})"
        cause = "the backward pass overflows"
    else:
        found = f"the loss {loss}"
        cause = "earlier steps were too large, and activations overflow"
    if config.dtype != "float32":
        cause += f", which happens sooner in {config.dtype} than in float32"
    raise UserError(
        expected="finite losses and gradients",
        found=f"{found} in epoch {epoch}, step {step}; likely cause: {cause}",
        fix=f"lower {spell('learning_rate')} (now {config.learning_rate:g})"
        + ("" if config.dtype == "float32" else f" or give {spell('dtype', 'float32')}")
        + " and start in another --workdir: the same command would compute the same numbers again",
    )


def refuse_nonfinite_logits(
    logits: np.ndarray, epoch: int, config: ConfigDict, *, moving: bool
) -> None:
    """Refuses validation logits that are not finite, before the weights are saved.

    Args:
        logits: The logits of the validation images, float [N, C].
        epoch: Number of the epoch, from 1.
        config: The run's configuration.
        moving: Whether validation uses BatchNorm's moving averages, which training does not use.

    Raises:
        UserError: If a logit is NaN or infinite.
    """
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if not broken:
        return
    cause = "weights have grown until activations overflow"
    fix = f"lower {spell('learning_rate')} (now {config.learning_rate:g})"
    if moving:
        cause = f"BatchNorm's moving statistics lag behind those of training, or {cause}"
        fix = f"give {spell('bn_policy', 'recalibrate')}, or {fix}"
    if config.dtype != "float32":
        fix += f", or give {spell('dtype', 'float32')}"
    raise UserError(
        expected="finite logits on validation",
        found=f"non-finite logits for {broken:,} of {len(logits):,} images after epoch {epoch}, "
        f"whose losses and gradients were finite; likely cause: {cause}",
        fix=f"{fix}, and start in another --workdir: the same command would compute the same again",
    )


def refuse_wrong_labels(split: Split, classes: Sequence[str], outputs: int, name: str) -> None:
    """Refuses labels that do not agree with the class list.

    Args:
        split: The images of one split.
        classes: The names of the classes, in the order of the labels.
        outputs: Number of the model's logits.
        name: Name of the split; every class must occur in 'train'.

    Raises:
        UserError: If the model has another number of classes, a label is outside the list, an
            image's label contradicts the name of its folder, or a class has no training image.
    """
    found = ""
    outside = np.flatnonzero((split.labels < 0) | (split.labels >= len(classes)))
    empty = [c for place, c in enumerate(classes) if not (split.labels == place).any()]
    if outputs != len(classes):
        found = f"a model with {outputs} outputs"
    elif len(outside):
        place = int(outside[0])
        found = f"label {split.labels[place]} on {split.paths[place]} ({len(outside)} such images)"
    elif wrong := _list_contradictions(split, classes):
        found = f"{wrong[0]} ({len(wrong)} such images)"
    elif name == "train" and empty:
        found = f"no training image of {', '.join(empty)}"
    if found:
        raise UserError(
            expected=f"{name} labels that are indices into the class list {', '.join(classes)}",
            found=f"{found}; likely cause: the data was prepared with other classes, or in another "
            "order",
            fix="make the folders and the class list agree, then remove the prepared tfds/ folder, "
            "which is then built again",
        )


def _list_contradictions(split: Split, classes: Sequence[str]) -> list[str]:
    """Describes the images SPLIT/CLASS/FILE whose label is not CLASS."""
    folders = [path.split("/")[-2] if "/" in path else "" for path in split.paths]
    return [
        f"{path} labelled '{classes[label]}'"
        for path, folder, label in zip(split.paths, folders, split.labels, strict=True)
        if folder in classes and folder != classes[label]
    ]


@dataclasses.dataclass(frozen=True)
class _PixelStats:
    """Statistics of one channel of some images.

    Attributes:
        low: Smallest value of all.
        high: Largest value of all.
        mean: Mean of all values.
        contrast: Median over the images of the range of an image's values.
    """

    low: float
    high: float
    mean: float
    contrast: float

    @classmethod
    def from_images(cls, images: Any) -> "_PixelStats":
        values = np.asarray(images, np.float32).reshape(len(images), -1)
        contrast = float(np.median(np.ptp(values, axis=1)))
        return cls(float(values.min()), float(values.max()), float(values.mean()), contrast)

    def has_scale_of(
        self, validation: "_PixelStats", span: float, *, changes_brightness: bool
    ) -> bool:
        """Returns whether these statistics, of training images, are on the scale of validation's.

        Args:
            validation: The statistics of validation images.
            span: Range of possible values.
            changes_brightness: Whether the training images were augmented such that they may have
                more contrast, and another mean.
        """
        if self.contrast * _CONTRAST < validation.contrast:
            return False
        wider = validation.contrast * _CONTRAST < self.contrast
        far = abs(self.mean - validation.mean) > _DISTANCE * span
        return changes_brightness or not (wider or far)

    def __str__(self) -> str:
        limits = f"{self.low:.4g} to {self.high:.4g}"
        return f"{limits} (mean {self.mean:.4g}, contrast {self.contrast:.4g})"


def refuse_unlike_pixels(
    splits: Mapping[str, Split], state: TrainState, start: Start, augmentation: str
) -> None:
    """Refuses training inputs on another scale than validation inputs.

    Compares the contrast and mean of sample images from both splits, after augmentation and
    preprocessing, and checks that their values lie in the range that pixels from 0 to 255 have
    after preprocessing. Training images may have more contrast and another mean if the augmentation
    changes brightness by design.

    Args:
        splits: 'train' and 'validation'.
        state: The state whose key augmentation draws from.
        start: The network and its preprocessing.
        augmentation: A level, a key of `faceemo.config.AUGMENTATIONS`.

    Raises:
        UserError: If the scales differ.
    """
    train, validation = (_sample(splits[name]) for name in ("train", "validation"))
    if not len(train.labels) or not len(validation.labels):
        return
    model, preprocessing = start.model, start.preprocessing

    # Images are arguments, so that runs on other images use the same compiled programs.
    @jax.jit
    def make_train_inputs(state: TrainState, batch: Batch) -> jax.Array:
        epoch = jnp.int32(0)
        return steps.training_inputs(state, batch, epoch, model, preprocessing, augmentation).inputs

    @jax.jit
    def make_validation_inputs(images: jax.Array) -> jax.Array:
        return plain_inputs(images, model, preprocessing)

    inputs = [make_train_inputs(state, train), make_validation_inputs(validation.images)]
    limits = preprocess(jnp.array([0.0, 255.0]).reshape(2, 1, 1), preprocessing)
    changes_brightness = AUGMENTATIONS[augmentation].changes_brightness
    # The channels of grey images differ in nothing but their means.
    for channel in range(3 if train.images.ndim == 4 else 1):
        trained, validated = (_PixelStats.from_images(images[..., channel]) for images in inputs)
        low, high = map(float, limits[:, 0, 0, channel])
        slack = 0.01 * (high - low)
        within = low - slack <= min(trained.low, validated.low) and (
            max(trained.high, validated.high) <= high + slack
        )
        if not within or not trained.has_scale_of(
            validated, high - low, changes_brightness=changes_brightness
        ):
            break
    else:
        return
    files = [_PixelStats.from_images(batch.images) for batch in (train, validation)]
    if not files[0].has_scale_of(files[1], 255, changes_brightness=changes_brightness):
        cause = "the files of the two splits were prepared differently"
        fix = "look at both (faceemo explore) and bring them to the same range, 0 to 255"
    else:
        cause = "pixels are scaled or shifted twice, since the files of both splits agree"
        fix = (
            f"make augmentation '{augmentation}' (faceemo/data/augment/augment.py) return 0 to "
            "255; only faceemo/models/preprocessing.py may scale"
        )
    raise UserError(
        expected="training and validation images of similar brightness and contrast after "
        f"preprocessing, within {low:.4g} to {high:.4g}",
        found=f"{trained} in training, {validated} in validation; likely cause: {cause}",
        fix=fix,
    )


def _sample(split: Split) -> Batch:
    """Takes up to `_SAMPLE` images, spread evenly over a split."""
    index = np.unique(np.linspace(0, len(split) - 1, _SAMPLE).astype(np.int32))
    if not len(split):
        index = index[:0]
    mask = np.ones(len(index), np.float32)
    images = parallel.take_everywhere(split.images, index)
    return Batch(images, split.labels[index], mask, index)

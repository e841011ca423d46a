"""Builds the optimiser, the first state and the steps that a configuration describes."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from faceemo.config.field_words import spell
from faceemo.data.augment.mixing import Mixing
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import freezing, parallel
from faceemo.train.batch_stats import make_moments_step
from faceemo.train.distillation import Distillation
from faceemo.train.ema import init_ema
from faceemo.train.eval_step import make_eval_step
from faceemo.train.freezing import TRAIN
from faceemo.train.optimizer import Rate
from faceemo.train.programs import stored_steps
from faceemo.train.state import TrainState
from faceemo.train.steps import make_train_step


def build_optimizer(
    config: ConfigDict, rate: Rate, model: Model, variable_labels: dict[str, Any]
) -> optax.GradientTransformation:
    """Builds the configured optimiser, but with the given learning rate."""
    return freezing.make_optimizer(
        rate,
        variable_labels["params"],
        blocks=model.blocks,
        layer_decay=config.layer_decay,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )


def build_state(
    config: ConfigDict,
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    variable_labels: dict[str, Any],
) -> TrainState:
    """Builds the state before the first step, with an average of the variables if configured."""
    average = init_ema(variables, variable_labels) if config.ema else None
    return TrainState.create(variables, optimizer, config.seed, average)


def build_train_step(
    config: ConfigDict,
    model: Model,
    optimizer: optax.GradientTransformation,
    variable_labels: dict[str, Any],
    preprocessing: Preprocessing | None,
    train: Split,
    distillation: Distillation | None = None,
) -> Callable[..., Any]:
    """Builds `make_train_step`'s `step(state, batch, epoch) -> (state, sums)` on every device."""
    return parallel.map_train_step(
        make_train_step(
            model,
            optimizer,
            variable_labels["params"],
            preprocessing,
            augmentation=config.augmentation,
            class_weights=compute_class_weights(train, config.class_weights),
            axis_name=parallel.AXIS,
            label_smoothing=config.label_smoothing,
            erasing=config.erasing,
            mixing=Mixing.from_config(config),
            ema=config.ema,
            distillation=distillation,
        )
    )


def build_moments_step(
    config: ConfigDict,
    model: Model,
    variable_labels: dict[str, Any],
    preprocessing: Preprocessing,
) -> Callable[..., Any] | None:
    """Builds `make_moments_step`'s step on every device; None if nothing is recalibrated."""
    stats_labels = variable_labels["batch_stats"]
    if config.bn_policy != "recalibrate" or TRAIN not in jax.tree.leaves(stats_labels):
        return None
    return parallel.map_moments_step(
        make_moments_step(
            model,
            preprocessing,
            stats_labels,
            augmentation=config.augmentation,
            axis_name=parallel.AXIS,
        )
    )


def build_eval_step(model: Model, preprocessing: Preprocessing | None) -> Callable[..., Any]:
    """Builds `make_eval_step`'s step on every device; all calls need batches of one size."""
    step = parallel.map_eval_step(make_eval_step(model, preprocessing))
    return stored_steps.store(step, "eval", model, preprocessing)


def compute_class_weights(split: Split, rule: str) -> np.ndarray:
    """Computes the factors of the images' losses by class, float32 [C].

    Args:
        split: The training images.
        rule: 'none' for 1 everywhere, or 'balanced' for n / (classes * n_class), scikit-learn's
            rule.

    Raises:
        UserError: If weights are to be balanced and a class has no image.
    """
    if rule == "none":
        return np.ones(len(split.classes), np.float32)
    counts = split.class_counts()
    if not counts.all():
        without = [name for name, n in zip(split.classes, counts, strict=True) if not n]
        raise UserError(
            expected="training images of every class for class_weights='balanced'",
            found=f"none of {', '.join(without)}",
            fix=f"add images of these classes, or give {spell('class_weights', 'none')}",
        )
    return (counts.sum() / (len(counts) * counts)).astype(np.float32)

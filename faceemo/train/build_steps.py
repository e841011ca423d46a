"""From a configuration to what trains: labels, optimiser, first state, the steps on all devices."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from faceemo.data.augment.mixing import mixing_of
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import freezing, parallel
from faceemo.train.distillation import Teaching
from faceemo.train.ema import init_ema
from faceemo.train.freezing import TRAIN
from faceemo.train.optimizer import Rate
from faceemo.train.recalibrate import make_moments_step
from faceemo.train.state import TrainState, create
from faceemo.train.steps import make_eval_step, make_train_step


def labels_of(model: Model, variables: dict[str, Any]) -> dict[str, Any]:
    """Of every leaf of {'params', 'batch_stats'}, whether it trains; see `freezing.label`."""
    moving = frozenset() if model.moving_statistics else model.trained
    return {
        "params": freezing.label_params(model, variables["params"]),
        "batch_stats": freezing.label(model.blocks, moving, variables["batch_stats"]),
    }


def optimizer_of(
    config: ConfigDict, rate: Rate, model: Model, labels: dict[str, Any]
) -> optax.GradientTransformation:
    """The configured optimiser, at learning rates of the caller's choice."""
    return freezing.make_optimizer(
        rate,
        labels["params"],
        blocks=model.blocks,
        layer_decay=config.layer_decay,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )


def first_state(
    config: ConfigDict,
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    labels: dict[str, Any],
) -> TrainState:
    """The state before the first step."""
    state = create(variables, optimizer, config.seed)
    if config.ema:
        state = dataclasses.replace(state, average=init_ema(variables, labels))
    return state


def training_step(
    config: ConfigDict,
    model: Model,
    optimizer: optax.GradientTransformation,
    labels: dict[str, Any],
    preprocessing: Preprocessing | None,
    train: Split,
    teaching: Teaching | None = None,
) -> Callable[..., Any]:
    """`step(state, batch, epoch) -> (state, sums)` on every device, see `make_train_step`."""
    return parallel.train_on_devices(
        make_train_step(
            model,
            optimizer,
            labels["params"],
            preprocessing,
            augmentation=config.augmentation,
            class_weights=class_weights(train, config.class_weights),
            axis_name=parallel.AXIS,
            label_smoothing=config.label_smoothing,
            erasing=config.erasing,
            mixing=mixing_of(config),
            ema=config.ema,
            teaching=teaching,
        )
    )


def moments_step(
    config: ConfigDict, model: Model, labels: dict[str, Any], preprocessing: Preprocessing
) -> Callable[..., Any] | None:
    """The step of `recalibrate` on every device; None where nothing is recalibrated."""
    if config.bn_policy != "recalibrate" or TRAIN not in jax.tree.leaves(labels["batch_stats"]):
        return None
    return parallel.measure_on_devices(
        make_moments_step(
            model,
            preprocessing,
            labels["batch_stats"],
            augmentation=config.augmentation,
            axis_name=parallel.AXIS,
        )
    )


def evaluation_step(model: Model, preprocessing: Preprocessing | None) -> Callable[..., Any]:
    """The step of `make_eval_step` on every device."""
    return parallel.evaluate_on_devices(make_eval_step(model, preprocessing))


def class_weights(split: Split, rule: str) -> np.ndarray:
    """Factors of the images' losses, float32 [C].

    'none' is 1 everywhere; 'balanced' is n / (classes * n_class), scikit-learn's rule.
    """
    if rule == "none":
        return np.ones(len(split.classes), np.float32)
    counts = split.class_counts()
    if not counts.all():
        without = [name for name, n in zip(split.classes, counts, strict=True) if not n]
        raise UserError(
            expected="training images of every class for class_weights='balanced'",
            found=f"none of {', '.join(without)}",
            fix="add images of that class, or set class_weights='none'",
        )
    return (counts.sum() / (len(counts) * counts)).astype(np.float32)

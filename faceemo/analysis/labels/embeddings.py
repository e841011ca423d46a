"""Computes a frozen backbone's features of images, from which labels can be judged."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from faceemo import models
from faceemo.config import make_config
from faceemo.data.pipeline import Split
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import parallel
from faceemo.train.checkpoint.checkpoints import Checkpoints, load_recipe
from faceemo.train.eval_step import plain_inputs
from faceemo.train.predict_split import predict_split

BATCH = 64


@dataclasses.dataclass(frozen=True, eq=False)
class FrozenBackbone:
    """A frozen backbone with everything that it needs to compute features.

    Attributes:
        model: The network; its head is not used.
        params: The backbone's parameters, {'backbone': ...}.
        batch_stats: The backbone's batch statistics, {} if it has none.
        preprocessing: Preprocessing that belongs to the weights.
        about: Description in words.
        saw_labels: Whether it was trained with the labels of train images.
        native_size: Side of the images that it takes, pixels.
    """

    model: Model
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    preprocessing: Preprocessing
    about: str
    saw_labels: bool
    native_size: int


def load_pretrained(arch: str, weights: str, image_size: int) -> FrozenBackbone:
    """Loads a backbone with published weights, which has seen no label of the dataset.

    Args:
        arch: Name of the backbone (`config.ARCHS`).
        weights: Name or file of the weights (`models.load_weights`); 'none' draws random ones.
        image_size: Side to which images are enlarged, pixels.

    Raises:
        UserError: If a value is not allowed, or the weights are not available.
    """
    config = make_config(arch, f"0,image_size={image_size},weights={weights}")
    model = models.build(config)
    drawn = model.init(config.seed) if weights == "none" else model.shapes()
    variables, preprocessing, _ = models.load_weights(model, drawn, weights)
    about = f"{arch} with weights '{weights}' at {image_size} pixels"
    return _make_backbone(config, model, variables, preprocessing, about, saw_labels=False)


def load_trained(workdir: Path) -> FrozenBackbone:
    """Loads the backbone of a finished run, from its best epoch.

    Raises:
        UserError: If there is no finished run in `workdir`.
    """
    recipe = load_recipe(workdir)
    config = ConfigDict(recipe["config"])
    variables, _ = Checkpoints(workdir, recipe).restore_best()
    preprocessing = Preprocessing.from_dict(recipe["preprocessing"])
    about = f"{config.arch} as trained in {workdir}, at {config.image_size} pixels"
    model = models.build(config)
    return _make_backbone(config, model, variables, preprocessing, about, saw_labels=True)


def extract_features(backbone: FrozenBackbone, images: np.ndarray) -> np.ndarray:
    """Computes features float32 [N, D] of uint8 images [N, S, S]: the flattened feature map."""
    split = Split(images, np.zeros(len(images), np.int32), ("",) * len(images))
    step = parallel.map_eval_step(_make_step(backbone))
    return predict_split(
        step,
        parallel.replicate(backbone.params),
        parallel.replicate(backbone.batch_stats),
        split,
        BATCH,
        name="features",
    )


def _make_backbone(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    about: str,
    *,
    saw_labels: bool,
) -> FrozenBackbone:
    params = {"backbone": variables["params"]["backbone"]}  # without the head, which can be large
    return FrozenBackbone(
        model,
        params,
        variables["batch_stats"],
        preprocessing,
        about,
        saw_labels,
        config.native_size,
    )


def _make_step(backbone: FrozenBackbone) -> Callable[[Any, Any, Any], jax.Array]:
    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = plain_inputs(images, backbone.model, backbone.preprocessing)
        features, _ = backbone.model.features(params, batch_stats, inputs)
        return features.reshape(len(features), -1).astype("float32")

    return step

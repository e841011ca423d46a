"""What a frozen backbone sees in images: the features from which labels can be judged."""

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
from faceemo.train.checkpoint.checkpoints import Checkpoints, recipe_of
from faceemo.train.predict_split import predict_split
from faceemo.train.steps import plain_inputs

BATCH = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A frozen backbone.

    Attributes:
        model: the network; its head is not used.
        params: {'backbone': ...}.
        batch_stats: of the backbone, {} if it has none.
        preprocessing: that belongs to the weights.
        about: in words.
        saw_labels: whether training images' labels went into it.
        native_size: side of the images that it takes, pixels.
    """

    model: Model
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    preprocessing: Preprocessing
    about: str
    saw_labels: bool
    native_size: int


def pretrained(arch: str, weights: str, image_size: int) -> Source:
    """A backbone as its authors trained it: it has seen none of our labels.

    Args:
        arch: of `config.ARCHS`.
        weights: as of `models.load_weights`; 'none' draws them.
        image_size: side to which images are enlarged, pixels.

    Raises:
        UserError: if a value is not allowed, or the weights cannot be had.
    """
    config = make_config(arch, f"0,image_size={image_size},weights={weights}")
    model = models.build(config)
    drawn = model.init(config.seed) if weights == "none" else model.shapes()
    variables, preprocessing, _ = models.load_weights(model, drawn, weights)
    about = f"{arch} with weights '{weights}' at {image_size} pixels"
    return _source(config, model, variables, preprocessing, about, saw_labels=False)


def trained(workdir: Path) -> Source:
    """The backbone of a finished run, from its best epoch.

    Raises:
        UserError: if there is no such run.
    """
    recipe = recipe_of(workdir)
    config = ConfigDict(recipe["config"])
    variables, _ = Checkpoints(workdir, recipe).restore_best()
    preprocessing = Preprocessing.from_dict(recipe["preprocessing"])
    about = f"{config.arch} as trained in {workdir}, at {config.image_size} pixels"
    return _source(config, models.build(config), variables, preprocessing, about, saw_labels=True)


def extract(source: Source, images: np.ndarray) -> np.ndarray:
    """Features float32 [N, D] of uint8 images [N, S, S]: the backbone's map, flattened."""
    split = Split(images, np.zeros(len(images), np.int32), ("",) * len(images))
    step = parallel.evaluate_on_devices(_make_step(source))
    return predict_split(
        step,
        parallel.replicate(source.params),
        parallel.replicate(source.batch_stats),
        split,
        BATCH,
        name="features",
    )


def _source(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    about: str,
    *,
    saw_labels: bool,
) -> Source:
    params = {"backbone": variables["params"]["backbone"]}  # the head can be large
    return Source(
        model,
        params,
        variables["batch_stats"],
        preprocessing,
        about,
        saw_labels,
        config.native_size,
    )


def _make_step(source: Source) -> Callable[[Any, Any, Any], jax.Array]:
    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = plain_inputs(images, source.model, source.preprocessing)
        features, _ = source.model.features(params, batch_stats, inputs)
        return features.reshape(len(features), -1).astype("float32")

    return step

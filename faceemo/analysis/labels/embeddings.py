"""Computes a frozen backbone's features of images, from which labels can be judged."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from faceemo import models
from faceemo.analysis.labels import training_images
from faceemo.assets import builtin
from faceemo.config import BACKBONES, ImageFormat, make_config
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.training_hashes import TrainingHashes
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import parallel
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.stored_recipe import load_recipe
from faceemo.train.eval_step import plain_inputs
from faceemo.train.predict_split import predict_split

BATCH = 64
FindSeen = Callable[[Sequence[Row]], frozenset[str]]


@dataclasses.dataclass(frozen=True, eq=False)
class FrozenBackbone:
    """A frozen backbone with everything that it needs to compute features.

    Attributes:
        model: The network; its head is not used.
        params: The backbone's parameters, {'backbone': ...}.
        batch_stats: The backbone's batch statistics, {} if it has none.
        preprocessing: Preprocessing that belongs to the weights.
        about: Description in words.
        form: Format of the images that it takes.
        find_seen: Returns the paths of those rows whose labels it may have learned. Such labels it
            must not judge.
    """

    model: Model
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    preprocessing: Preprocessing
    about: str
    form: ImageFormat
    find_seen: FindSeen


def load_builtin() -> FrozenBackbone:
    """Loads the network of four emotions that comes with faceemo.

    The one of eight emotions has learned most images of FER2013, of which it could judge few.
    """
    backbone = load_pretrained("mobilenet", builtin.FOUR, builtin.IMAGE_SIZES[builtin.FOUR])
    return dataclasses.replace(backbone, about="the network of four emotions in faceemo")


def load_pretrained(arch: str, weights: str, image_size: int) -> FrozenBackbone:
    """Loads a backbone with weights that have learned no label, or known ones, of emotions.

    Args:
        arch: Name of the backbone (`config.ARCHS`).
        weights: Name or file of the weights (`models.load_weights`); 'none' draws random ones.
        image_size: Side to which images are enlarged, pixels.

    Raises:
        UserError: If a value is not allowed, the weights are not available, or they are those of a
            trained network whose training images are not known.
    """
    width = BACKBONES[arch].narrow.get(weights, 1.0)
    config = make_config(arch, f"0,image_size={image_size},weights={weights},width={width}")
    model = models.build(config)
    drawn = model.init(config.seed) if weights == "none" else model.shapes()
    variables, preprocessing, source = models.load_weights(model, drawn, weights)
    if source["source"] in builtin.FOLDERS:
        find_seen = TrainingHashes.read(builtin.hashes_file(source["source"])).find
    elif "trained" in source:
        raise UserError(
            expected="weights that no labels of emotions have trained, or 'builtin'",
            found=f"{weights}, a trained network whose training images are not known",
            fix="name the folder of its run with --workdir, or choose other weights",
        )
    else:
        find_seen = _find_none
    about = f"{arch} with weights '{weights}' at {image_size} pixels"
    return _make_backbone(config, model, variables, preprocessing, about, find_seen)


def load_trained(workdir: Path, root: Path) -> FrozenBackbone:
    """Loads the backbone of a finished run, from its best epoch.

    Args:
        workdir: The run's folder.
        root: Folder of the prepared dataset that it will judge.

    Raises:
        UserError: If there is no finished run in `workdir`; if it was trained on the images of
            another folder; if it learned from a network whose training images are not known.
    """
    recipe = load_recipe(workdir)
    find_seen = training_images.make_finder(recipe, workdir, root)
    config = ConfigDict(recipe["config"])
    variables, _ = Checkpoints(workdir, recipe).restore_best()
    preprocessing = Preprocessing.from_dict(recipe["preprocessing"])
    about = f"{config.arch} as trained in {workdir}, at {config.image_size} pixels"
    model = models.build(config)
    return _make_backbone(config, model, variables, preprocessing, about, find_seen)


def extract_features(backbone: FrozenBackbone, images: np.ndarray) -> np.ndarray:
    """Computes features float32 [N, C], means over the feature map, of images in its format."""
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
    find_seen: FindSeen,
) -> FrozenBackbone:
    params = {"backbone": variables["params"]["backbone"]}  # without the head, which can be large
    return FrozenBackbone(
        model,
        params,
        variables["batch_stats"],
        preprocessing,
        about,
        ImageFormat.from_config(config),
        find_seen,
    )


def _find_none(rows: Sequence[Row]) -> frozenset[str]:
    """Finds no image: the weights have learned no label of emotions."""
    return frozenset()


def _make_step(backbone: FrozenBackbone) -> Callable[[Any, Any, Any], jax.Array]:
    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = plain_inputs(images, backbone.model, backbone.preprocessing)
        features, _ = backbone.model.features(params, batch_stats, inputs)
        return features.astype("float32").mean(axis=(1, 2))

    return step

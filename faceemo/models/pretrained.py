"""Pretrained weights: from a name or a path to variables, and what input they expect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from faceemo import assets, downloads
from faceemo.errors import UserError
from faceemo.models import efficientnetb0, keras_weights, preprocessing
from faceemo.models.preprocessing import Preprocessing

COLLECTIONS = ("params", "batch_stats")


def load(
    arch: str,
    variables: dict[str, Any],
    layer_order: Sequence[str],
    weights: str,
    usual: Preprocessing,
) -> tuple[dict[str, Any], Preprocessing, dict[str, Any]]:
    """What `faceemo.models.load_weights` promises.

    Args:
        arch: of the backbone.
        variables: of `Model.init`.
        layer_order: the backbone's layers as they follow each other.
        weights: as of `load_weights`.
        usual: the preprocessing of the architecture's ImageNet weights.
    """
    if weights == "none":
        return variables, usual, {"source": "none", "sha256": None}
    named = f"{arch}.{weights}"
    path = assets.fetch(named) if named in assets.ASSETS else Path(weights)
    if not path.is_file():
        raise UserError(
            expected=f"weights for {arch}: a known name or the path of a file",
            found=f"'{weights}', which is no file",
            fix="check the path, or choose 'imagenet' or 'none'",
        )
    digest = downloads.file_digest(path, "sha256")
    # Also when it comes by its path: what the weights expect does not depend on the way to them.
    is_hed = digest == assets.HED_SHA256
    shapes = {}
    for collection in COLLECTIONS:
        backbone = variables[collection].get("backbone", {})
        leaves: dict[str, Any] = traverse_util.flatten_dict(backbone, sep="/")
        shapes[collection] = {name: leaf.shape for name, leaf in leaves.items()}
    expected = {name: shape for names in shapes.values() for name, shape in names.items()}
    expected = dict(
        sorted(expected.items(), key=lambda item: layer_order.index(item[0].partition("/")[0]))
    )
    arrays = keras_weights.read(
        path, expected, ignored=keras_weights.HED_SIDE_OUTPUTS if is_hed else ()
    )
    if arch == "efficientnetb0":
        _correct_normalization(arrays, path, official=named in assets.ASSETS)
    loaded = dict(variables)
    for collection, names in shapes.items():
        if names:
            leaves = {name: jnp.asarray(arrays[name]) for name in names}
            backbone = traverse_util.unflatten_dict(leaves, sep="/")
            loaded[collection] = variables[collection] | {"backbone": backbone}
    source = weights if named in assets.ASSETS else str(path)
    return loaded, preprocessing.HED if is_hed else usual, {"source": source, "sha256": digest}


def _correct_normalization(arrays: dict[str, np.ndarray], path: Path, *, official: bool) -> None:
    """Puts variances where EfficientNet's files hold standard deviations.

    The layer divides by the root of what Keras's download calls the variance, but which is the
    standard deviation (https://github.com/tensorflow/tensorflow/issues/49930). So, with the
    ImageNet weights, Keras divides by its root once more, in a layer `rescaling_1` without weights.
    Both divisions in one are the one by the standard deviation.

    Args:
        arrays: of the file; 'normalization/variance' is changed.
        path: of the file. One that Keras saved of such a model has both layers.
        official: whether it is Keras's download, which was made before the second layer was.

    Raises:
        UserError: if the file does not say which layers there are.
    """
    official = official or _is_official(path)
    rescalings = keras_weights.count_layers(path, "rescaling")
    if not official and rescalings not in (1, 2):
        raise UserError(
            expected="one or two layers 'rescaling' at the start of EfficientNetB0, which tell how "
            "it normalises",
            found=f"{rescalings} in {path}",
            fix="let Keras save the backbone itself, not a model around it",
        )
    if official or rescalings == 2:
        arrays["normalization/variance"] *= np.asarray(efficientnetb0.IMAGENET_STDDEV, np.float32)


def _is_official(path: Path) -> bool:
    sources = assets.ASSETS["efficientnetb0.imagenet"].sources
    return any(downloads.matches(path, source.digest) for source in sources)

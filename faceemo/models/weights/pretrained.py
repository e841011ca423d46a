"""Pretrained weights: from a name or a path to variables, and what input they expect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from faceemo.assets import catalogue, downloads
from faceemo.errors import UserError
from faceemo.models import efficientnetb0, preprocessing
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import faceres, keras_h5, lite0, npz

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
    path, expected = _locate(arch, weights), _expected(variables, layer_order)
    named = f"{arch}.{weights}" in catalogue.ASSETS
    digest = downloads.file_digest(path)
    if path.suffix == npz.SUFFIX:
        arrays, spec, recipe = npz.read(path, arch, expected)
        trained = {"trained": recipe} if recipe else {}
    elif _is_lite(arch, digest):
        arrays, trained, spec = lite0.read(path, _initial(variables)), {}, usual
    elif _is_faceres(arch, digest):
        arrays, trained, spec = faceres.read(path, expected), {}, preprocessing.BGR_MEAN
    else:
        ignored = _ignored(digest)
        arrays, trained = keras_h5.read(path, expected, ignored), {}
        spec = preprocessing.HED if ignored else usual
        if arch == "efficientnetb0":
            _correct_normalization(arrays, path, official=named)
    loaded = dict(variables)
    for collection, names in _shapes(variables).items():
        if names:
            leaves = {name: jnp.asarray(arrays[name]) for name in names}
            backbone = traverse_util.unflatten_dict(leaves, sep="/")
            loaded[collection] = variables[collection] | {"backbone": backbone}
    return loaded, spec, {"source": weights if named else str(path), "sha256": digest, **trained}


def places(
    arch: str, variables: dict[str, Any], layer_order: Sequence[str], weights: str
) -> dict[str, str]:
    """Where in the file that `load` reads each array stands, by 'layer/weight'."""
    path, expected = _locate(arch, weights), _expected(variables, layer_order)
    if path.suffix == npz.SUFFIX:
        return {name: name for name in expected}
    digest = downloads.file_digest(path)
    if _is_lite(arch, digest):
        return {name: lite0.place(name) for name in expected}
    if _is_faceres(arch, digest):
        return {name: faceres.place(name) for name in expected}
    return keras_h5.places(path, expected, _ignored(digest))


def _locate(arch: str, weights: str) -> Path:
    """The file of weights, fetched if they are an asset."""
    named = f"{arch}.{weights}"
    if named in catalogue.ASSETS:
        return catalogue.fetch(named, alternative="give the path of the file as weights=PATH")
    path = Path(weights)
    if not path.is_file():
        raise UserError(
            expected=f"weights for {arch}: a known name or the path of a file",
            found=f"'{weights}', which is no file",
            fix="check the path, or choose 'imagenet' or 'none'",
        )
    return path


def _ignored(digest: str) -> tuple[str, ...]:
    """What of the file is no part of the backbone: something in the `hed` file alone.

    It is known by its hash: what weights expect does not depend on the way to them.
    """
    return keras_h5.HED_SIDE_OUTPUTS if digest == catalogue.HED_SHA256 else ()


def _is_lite(arch: str, digest: str) -> bool:
    """Whether the file is EfficientNet-Lite0's, and of use; known by its hash, too."""
    return arch == "efficientnetb0" and digest == catalogue.LITE0_SHA256


def _is_faceres(arch: str, digest: str) -> bool:
    """Likewise, for the network that knows faces."""
    return arch == "mobilenet" and digest == catalogue.FACERES_SHA256


def _expected(variables: dict[str, Any], layer_order: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The backbone's shapes by 'layer/weight', the layers as they follow each other."""
    flat = {name: shape for names in _shapes(variables).values() for name, shape in names.items()}
    order = {layer: place for place, layer in enumerate(layer_order)}
    return dict(sorted(flat.items(), key=lambda item: order[item[0].partition("/")[0]]))


def _shapes(variables: dict[str, Any]) -> dict[str, dict[str, tuple[int, ...]]]:
    """The backbone's shapes by 'layer/weight', in each collection."""
    return {
        collection: {name: leaf.shape for name, leaf in leaves.items()}
        for collection, leaves in _leaves(variables).items()
    }


def _initial(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """The backbone's arrays by 'layer/weight', of both collections."""
    return {
        name: np.asarray(leaf)
        for leaves in _leaves(variables).values()
        for name, leaf in leaves.items()
    }


def _leaves(variables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The backbone's arrays by 'layer/weight', in each collection."""
    return {
        collection: traverse_util.flatten_dict(variables[collection].get("backbone", {}), sep="/")
        for collection in COLLECTIONS
    }


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
    rescalings = keras_h5.count_layers(path, "rescaling")
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
    sources = catalogue.ASSETS["efficientnetb0.imagenet"].sources
    return any(downloads.has_digest(path, source.digest) for source in sources)

"""Loads pretrained weights, from a name or a path, and the preprocessing that they expect."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from faceemo.assets import builtin, catalogue, downloads
from faceemo.config import BACKBONES
from faceemo.errors import UserError
from faceemo.models import efficientnetb0, preprocessing
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import faceres, keras_h5, lite0, npz

COLLECTIONS = ("params", "batch_stats")

Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class _Request:
    """A request for the arrays of a backbone.

    Attributes:
        arch: Name of the backbone.
        initial: Arrays of the backbone, or their shapes, by 'layer/weight', layers in their order.
        preprocessing: Preprocessing that the backbone's ImageNet weights expect.
    """

    arch: str
    initial: dict[str, Any]
    preprocessing: Preprocessing

    @property
    def shapes(self) -> Shapes:
        return {name: leaf.shape for name, leaf in self.initial.items()}


# Arrays float32 by 'layer/weight', their preprocessing, the recipe of the run that trained them.
_Loaded = tuple[dict[str, np.ndarray], Preprocessing, dict[str, Any] | None]


@dataclasses.dataclass(frozen=True)
class _Format:
    """Functions that read one kind of file.

    Attributes:
        read: Reads all arrays of a request, exactly.
        locate: Returns the name in the file of each array, by 'layer/weight'.
    """

    read: Callable[[Path, _Request], _Loaded]
    locate: Callable[[Path, Shapes], dict[str, str]]


def load(
    arch: str,
    variables: dict[str, Any],
    layer_order: Sequence[str],
    weights: str,
    imagenet_preprocessing: Preprocessing,
) -> tuple[dict[str, Any], Preprocessing, dict[str, Any]]:
    """Loads weights into the backbone's variables, see `faceemo.models.load_weights`.

    Args:
        arch: Name of the backbone.
        variables: Variables that `Model.init` or `Model.init_head` returned.
        layer_order: Names of the backbone's layers in the order in which they are called.
        weights: 'none', a name of weights, or the path of a file.
        imagenet_preprocessing: Preprocessing that the backbone's ImageNet weights expect.
    """
    if weights == "none":
        return variables, imagenet_preprocessing, {"source": "none", "sha256": None}
    path, named = _find_file(arch, weights)
    digest = downloads.file_digest(path)
    request = _Request(arch, _arrays_in_order(variables, layer_order), imagenet_preprocessing)
    arrays, expected_preprocessing, recipe = _format(arch, path, digest).read(path, request)
    loaded = dict(variables)
    for collection, leaves in _leaves(variables).items():
        if leaves:
            backbone = {name: jnp.asarray(arrays[name]) for name in leaves}
            tree = traverse_util.unflatten_dict(backbone, sep="/")
            loaded[collection] = variables[collection] | {"backbone": tree}
    source = {"source": weights if named else str(path), "sha256": digest}
    return loaded, expected_preprocessing, source | ({"trained": recipe} if recipe else {})


def keep_initial_values(arch: str, weights: str) -> bool:
    """Returns whether `load` leaves any of the backbone's initial values as they are."""
    if weights == "none":
        return True
    path, _ = _find_file(arch, weights)
    return _format(arch, path, downloads.file_digest(path)).read is _read_lite0


def locate_arrays(
    arch: str, variables: dict[str, Any], layer_order: Sequence[str], weights: str
) -> dict[str, str]:
    """Returns the name of each array in the file that `load` reads, by 'layer/weight'."""
    path, _ = _find_file(arch, weights)
    arrays = _arrays_in_order(variables, layer_order)
    shapes = {name: leaf.shape for name, leaf in arrays.items()}
    return _format(arch, path, downloads.file_digest(path)).locate(path, shapes)


def _find_file(arch: str, weights: str) -> tuple[Path, bool]:
    """Returns the path of a weight file, and whether `weights` is a known name.

    A file with a known name is downloaded first, unless it comes with faceemo.
    """
    if weights in builtin.FOLDERS and weights in BACKBONES[arch].weights:
        return builtin.model_file(weights), True
    asset = f"{arch}.{weights}"
    if asset in catalogue.ASSETS:
        return catalogue.fetch(asset, alternative=_alternatives(arch, weights)), True
    path = Path(weights)
    if not path.is_file():
        raise UserError(
            expected=f"weights for {arch}: a known name or the path of a file",
            found=f"'{weights}', which is no file",
            fix=f"check the path, or choose one of {', '.join(BACKBONES[arch].weights)}",
        )
    return path, False


def _alternatives(arch: str, weights: str) -> str:
    """Describes what can be given in place of weights that could not be fetched, for a message."""
    others = [
        f"weights={name} ({_availability(arch, name)})"
        for name in BACKBONES[arch].weights
        if name != weights
    ]
    return f"give the path of the file as weights=PATH, or start from {' or '.join(others)}"


def _availability(arch: str, weights: str) -> str:
    """Describes where a name's weights come from, and whether they need a network."""
    description = BACKBONES[arch].weights[weights]
    asset = catalogue.ASSETS.get(f"{arch}.{weights}")
    if asset is None:
        return f"{description}; needs no download"
    if (catalogue.cache_dir() / asset.filename).is_file():
        return f"{description}; already in the cache"
    return description


def _arrays_in_order(variables: dict[str, Any], layer_order: Sequence[str]) -> dict[str, Any]:
    """Returns the backbone's arrays of both collections by 'layer/weight', layers in order."""
    arrays = {name: leaf for leaves in _leaves(variables).values() for name, leaf in leaves.items()}
    order = {layer: number for number, layer in enumerate(layer_order)}
    return dict(sorted(arrays.items(), key=lambda item: order[item[0].partition("/")[0]]))


def _leaves(variables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the backbone's arrays by 'layer/weight', for each collection."""
    return {
        collection: traverse_util.flatten_dict(variables[collection].get("backbone", {}), sep="/")
        for collection in COLLECTIONS
    }


def _read_npz(path: Path, request: _Request) -> _Loaded:
    return npz.read(path, request.arch, request.shapes)


def _read_lite0(path: Path, request: _Request) -> _Loaded:
    initial = {name: np.asarray(leaf) for name, leaf in request.initial.items()}
    return lite0.read(path, initial), request.preprocessing, None


def _read_faceres(path: Path, request: _Request) -> _Loaded:
    return faceres.read(path, request.shapes), preprocessing.BGR_MEAN, None


def _read_hed(path: Path, request: _Request) -> _Loaded:
    arrays = keras_h5.read(path, request.shapes, keras_h5.HED_SIDE_OUTPUTS)
    return arrays, preprocessing.HED, None


def _read_keras(path: Path, request: _Request) -> _Loaded:
    arrays = keras_h5.read(path, request.shapes)
    if request.arch == "efficientnetb0":
        _correct_normalization(arrays, path)
    return arrays, request.preprocessing, None


def _format(arch: str, path: Path, digest: str) -> _Format:
    """Returns the functions that read a file: those of the table, otherwise by its suffix."""
    usual = _NPZ if path.suffix == npz.SUFFIX else _KERAS
    return _FORMATS.get((arch, digest), usual)


_NPZ = _Format(_read_npz, lambda _, shapes: {name: name for name in shapes})
_KERAS = _Format(_read_keras, keras_h5.locate_arrays)
# Files that are known by backbone and sha256, so that a path gives the same weights as a name.
_FORMATS = {
    ("vgg16", catalogue.HED_SHA256): _Format(
        _read_hed,
        lambda path, shapes: keras_h5.locate_arrays(path, shapes, keras_h5.HED_SIDE_OUTPUTS),
    ),
    ("efficientnetb0", catalogue.LITE0_SHA256): _Format(
        _read_lite0, lambda _, shapes: {name: lite0.name_in_file(name) for name in shapes}
    ),
    ("mobilenet", catalogue.FACERES_SHA256): _Format(
        _read_faceres, lambda _, shapes: {name: faceres.name_in_file(name) for name in shapes}
    ),
}


def _correct_normalization(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Replaces standard deviations by variances in the arrays of EfficientNet's ImageNet file.

    The layer divides by the root of `variance`, but in Keras's download that array holds the
    standard deviation (https://github.com/tensorflow/tensorflow/issues/49930). So, with the
    ImageNet weights, Keras divides by its root once more, in a layer `rescaling_1` without weights.
    Together the two divisions amount to one by the standard deviation.

    Args:
        arrays: Arrays of the file; 'normalization/variance' is changed in place.
        path: The file. Keras's own download is recognised by its hash, because it is older than
            that second layer; a file saved from such a model contains both layers.

    Raises:
        UserError: If the file does not tell how many such layers there are.
    """
    sources = catalogue.ASSETS["efficientnetb0.imagenet"].sources
    is_download = any(downloads.has_digest(path, source.digest) for source in sources)
    rescalings = keras_h5.count_layers(path, "rescaling")
    if not is_download and rescalings not in (1, 2):
        raise UserError(
            expected="one or two layers 'rescaling' at the start of EfficientNetB0, which tell how "
            "it normalises",
            found=f"{rescalings} in {path}",
            fix="let Keras save the backbone itself, not a model around it",
        )
    if is_download or rescalings == 2:
        arrays["normalization/variance"] *= np.asarray(efficientnetb0.IMAGENET_STDDEV, np.float32)

"""Reads a model's weights from Keras's HDF5 files.

If any are missing or extra, one error names them all.

Two layouts are known. The legacy one (`Model.save('x.h5')` and Keras's own downloads) has the
attributes `layer_names` and `weight_names`, on the root or on the group `model_weights`. That of
Keras 3 (`x.weights.h5`, also inside `x.keras`) has a group `vars` of numbered arrays for each
layer; newer versions store the layer's name there, older ones only number the layers of each class.
A model inside a model repeats its layout.
"""

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceemo.errors import UserError
from faceemo.models.weights.mismatches import Shape, find_mismatches, is_numeric

if TYPE_CHECKING:
    import h5py

# Groups of the `hed` file that do not belong to VGG16: edge maps at five scales and their fusion.
HED_SIDE_OUTPUTS = ("dsn1", "dsn2", "dsn3", "dsn4", "dsn5", "fuse")
# Group in which Keras 3 saves the state of a compiled model's optimiser.
OPTIMIZER = "optimizer"
# Order in which Keras numbers the arrays of a layer, for each class.
WEIGHT_ORDER = (
    *("kernel", "bias"),
    *("gamma", "beta", "moving_mean", "moving_variance"),
    *("mean", "variance", "count"),
)
# Endings of variables in VGG16's download, from an old Keras: 'block1_conv1_W_1:0'.
OLD_ENDINGS = {"W": "kernel", "b": "bias"}
# Names of weights in Keras 2.
OLD_WEIGHTS = {"depthwise_kernel": "kernel"}
# The one layer of these models that Keras names itself, with a count if it is not the first.
AUTO_NAMED = re.compile(r"^(normalization)_\d+$")
# Name of the weight file inside a .keras file.
MEMBER = "model.weights.h5"
# HDF5 files and groups are Any below: h5py types their content as an unusable union.


def read(
    path: Path, expected: Mapping[str, Shape], ignored: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Reads the arrays of one model.

    Args:
        path: An HDF5 or .keras file.
        expected: Shape of each array by 'layer/weight', layers in the model's order (which matters
            where a file only numbers them).
        ignored: Top-level groups to leave out; each must be in the file.

    Returns:
        Float32 arrays under exactly the names in `expected`.

    Raises:
        UserError: If the file is not a whole HDF5 file of a known layout; otherwise, naming all
            problems, if arrays are missing, left over, of another shape or not finite.
    """
    with _open(path) as file:
        problems = [f"group {name} is missing" for name in ignored if name not in file]
        found = _find_arrays(file, expected, ignored)
        # Shapes first: a damaged header may claim any size, so only matching arrays are read.
        problems += find_mismatches(found, expected)
        arrays = {
            name: np.asarray(found[name][()], np.float32)
            for name, shape in expected.items()
            if name in found and found[name].shape == shape and is_numeric(found[name])
        }
    problems += [
        f"{name} holds values that are not finite"
        for name, array in arrays.items()
        if not np.isfinite(array).all()
    ]
    if problems:
        raise UserError(
            expected=f"the {len(expected)} arrays of the model and nothing else in {path}",
            found="; ".join(problems) if found else "no weights in any layout that Keras writes",
            fix="let Keras write the weights of exactly this model (a backbone: include_top=False)",
        )
    return arrays


def locate_arrays(
    path: Path, expected: Mapping[str, Shape], ignored: Sequence[str] = ()
) -> dict[str, str]:
    """Returns the HDF5 path of each array that `read` reads, by 'layer/weight'."""
    with _open(path) as file:
        found = _find_arrays(file, expected, ignored)
        return {name: found[name].name for name in expected if name in found}


def count_layers(path: Path, kind: str) -> int:
    """Counts the layers named `kind`, `kind`_1, ..., with or without weights.

    Args:
        path: An HDF5 or .keras file.
        kind: Keras's default name for layers of a class, 'rescaling' for example.

    Raises:
        UserError: If the file is not a whole HDF5 file.
    """
    with _open(path) as file:
        layers = set(_read_names(file.get("model_weights", file), "layer_names"))
        if not layers:
            paths = []
            file.visit(paths.append)
            layers = {path.removesuffix("/vars") for path in paths if path.endswith("/vars")}
    names = [layer.rpartition("/")[2] for layer in layers]
    return sum(re.fullmatch(rf"{kind}(_\d+)?", name) is not None for name in names)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Opens an HDF5 file, or the one inside a .keras file; turns read errors into a `UserError`."""
    # Only training reads such files, so that prediction does without h5py.
    import h5py

    try:
        source: Any = path
        if not h5py.is_hdf5(path) and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(MEMBER))
        with h5py.File(source, "r") as file:
            yield file
    # Errors of h5py and zipfile for damaged files.
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            expected="a whole HDF5 file with Keras weights, or a .keras file",
            found=f"{path}, which cannot be read ({error})",
            fix="fetch or write the file again",
        ) from error


def _find_arrays(
    file: Any, expected: Mapping[str, Shape], ignored: Sequence[str]
) -> "dict[str, h5py.Dataset]":
    """Returns the arrays of a file by 'layer/weight'; unknown ones by their paths."""
    return _find_legacy(file, expected) or _find_keras3(file, expected, ignored)


def _find_legacy(file: Any, expected: Mapping[str, Shape]) -> "dict[str, h5py.Dataset]":
    """Returns the arrays of a file in the legacy layout; none for another layout."""
    root = file.get("model_weights", file)
    layers = {name.partition("/")[0] for name in expected}
    found = {}
    for group in (*_read_names(root, "layer_names"), "top_level_model_weights"):
        if group not in root:
            continue
        for variable in _read_names(root[group], "weight_names"):
            # The group's name is that of the layer, while the variable's may be 'block1_conv1_1';
            # but for a model inside the model, the group is the whole inner model.
            layer, weight = _parse_legacy_name(variable, group)
            layer = group if group in layers else AUTO_NAMED.sub(r"\1", layer)
            found[_make_unique(f"{layer}/{weight}", found)] = root[group][variable]
    return found


def _read_names(group: Any, attribute: str) -> list[str]:
    """Reads a list of names; Keras splits a long one over 'attribute0', 'attribute1', ..."""
    values = list(group.attrs.get(attribute, ()))
    part = 0
    while f"{attribute}{part}" in group.attrs:
        values.extend(group.attrs[f"{attribute}{part}"])
        part += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _parse_legacy_name(variable: str, group: str) -> tuple[str, str]:
    """Parses 'model/layer/kernel:0', 'layer/kernel', 'kernel' or 'layer_W_1:0'.

    Returns:
        Names of layer and weight; the layer is `group` if the variable does not name it.
    """
    variable = re.sub(r":\d+$", "", variable)
    if old := re.fullmatch(r"(?:.*/)?([^/]+)_(W|b)(?:_\d+)?", variable):
        return old[1], OLD_ENDINGS[old[2]]
    path, _, weight = variable.rpartition("/")
    weight = OLD_WEIGHTS.get(weight, weight)
    return path.rpartition("/")[2] or group, weight


def _find_keras3(
    file: Any, expected: Mapping[str, Shape], ignored: Sequence[str]
) -> "dict[str, h5py.Dataset]":
    """Returns the arrays of a file in the layout of Keras 3; none for another layout."""
    weights: dict[str, list[str]] = {}
    for name in sorted(expected, key=lambda name: WEIGHT_ORDER.index(name.rpartition("/")[2])):
        weights.setdefault(name.partition("/")[0], []).append(name)
    layers = {
        path: variables
        for path, variables in _iterate_layers(file)
        if path.partition("/")[0] not in (*ignored, OPTIMIZER)
    }
    layer_names = {
        path: AUTO_NAMED.sub(r"\1", str(variables.attrs.get("name", "")))
        for path, variables in layers.items()
    }
    if not set(layer_names.values()) & set(weights):
        layer_names = _match_by_number(list(layers), expected)
    found = {}
    for path, variables in layers.items():
        names = weights.get(layer_names.get(path, ""), [])
        for number in sorted(variables, key=_sort_key):
            position = int(number) if number.isdecimal() else len(names)
            name = names[position] if position < len(names) else f"{path}/vars/{number}"
            found[_make_unique(name, found)] = variables[number]
    return found


def _iterate_layers(file: Any) -> Iterator[tuple[str, Any]]:
    """Yields (path of a layer, its group of arrays) for layers with arrays, in Keras's order."""
    paths = []
    file.visit(paths.append)
    paths = [path for path in paths if path.rpartition("/")[2] == "vars"]
    for path in sorted(paths, key=lambda path: [_sort_key(part) for part in path.split("/")]):
        if len(file[path]):
            yield path.rpartition("/")[0], file[path]


def _sort_key(part: str) -> tuple[str, int]:
    """Returns a key that sorts 'conv2d', 'conv2d_1', ..., 'conv2d_10', and '2' before '10'."""
    match = re.fullmatch(r"(.*?)_?(\d+)", part)
    # The last digits may belong to the name ('block1') or be a count: both sort correctly.
    return (match[1], int(match[2])) if match else (part, 0)


def _match_by_number(paths: Sequence[str], expected: Mapping[str, Shape]) -> dict[str, str]:
    """Maps paths to layers: the n-th of a class to the n-th of that class in the model."""
    layers: dict[str, list[str]] = {}
    for name, shape in expected.items():
        layer, _, weight = name.partition("/")
        if kind := _class_name(weight, shape):
            layers.setdefault(kind, []).append(layer)
    matched = {}
    for path in paths:
        kind = re.sub(r"_\d+$", "", path.rpartition("/")[2])
        if layers.get(kind):
            matched[path] = layers[kind].pop(0)
    return matched


def _class_name(weight: str, shape: Shape) -> str | None:
    """Returns Keras 3's name for the layer's class; None for all but a layer's first weight."""
    if weight == "kernel" and len(shape) == 4:
        # No ordinary convolution of these models has only one output channel.
        return "depthwise_conv2d" if shape[-1] == 1 else "conv2d"
    return {"kernel": "dense", "gamma": "batch_normalization", "mean": "normalization"}.get(weight)


def _make_unique(name: str, taken: Mapping[str, object]) -> str:
    """Returns `name`, marked as left over if another array has it already."""
    return name if name not in taken else _make_unique(f"{name} (again)", taken)

"""Reads weights out of the HDF5 files that Keras writes: all of them, exactly, or one error.

Two layouts are known. Legacy (`Model.save('x.h5')` and Keras's own downloads): attributes
`layer_names` and `weight_names`, on the root or on the group `model_weights`. Keras 3
(`x.weights.h5`, also inside `x.keras`): a group `vars` of numbered arrays per layer; newer versions
note the layer's name there, older ones only number the layers of each class. Models inside models
repeat either.
"""

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from faceemo.errors import UserError

# Groups of the `hed` file that are no part of VGG16: edge maps at five scales and their fusion.
HED_SIDE_OUTPUTS = ("dsn1", "dsn2", "dsn3", "dsn4", "dsn5", "fuse")
# Where Keras 3 saves the state of a compiled model's optimiser.
OPTIMIZER = "optimizer"
# In which order Keras numbers the arrays of a layer, class after class.
ORDER = (
    *("kernel", "bias"),
    *("gamma", "beta", "moving_mean", "moving_variance"),
    *("mean", "variance", "count"),
)
# How the Keras of VGG16's download ended its variables: 'block1_conv1_W_1:0'.
OLD_ENDINGS = {"W": "kernel", "b": "bias"}
# What Keras 2 called a weight.
OLD_WEIGHTS = {"depthwise_kernel": "kernel"}
# The layer of these models that Keras names itself, with a count if it is not the first.
AUTO_NAMED = re.compile(r"^(normalization)_\d+$")
# Where Keras keeps the weights in its zip file.
MEMBER = "model.weights.h5"

Shape = tuple[int, ...]
# HDF5 files and groups are Any below: h5py types what they hold as a union nobody can use.


def read(
    path: Path, expected: Mapping[str, Shape], ignored: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays of one model.

    Args:
        path: of an HDF5 file.
        expected: shape of each array by its name 'layer/weight', the layers in the model's order
            (it counts where a file only numbers them).
        ignored: top-level groups to leave out; each must be there.

    Returns:
        float32 arrays under exactly the names in `expected`.

    Raises:
        UserError: if the file is not a whole HDF5 file or of no known layout; else, naming all of
            them, if arrays are missing, left over, of another shape or not finite numbers.
    """
    with _opened(path) as file:
        problems = [f"group {name} is missing" for name in ignored if name not in file]
        found = _legacy(file, expected) or _keras3(file, expected, ignored)
        # Shapes first: a damaged header may claim any size, so only what fits is read.
        problems += misfits(found, expected)
        arrays = {
            name: np.asarray(found[name][()], np.float32)
            for name, shape in expected.items()
            if name in found and found[name].shape == shape and _numeric(found[name])
        }
    problems += [
        f"{name} holds values that are not finite"
        for name, array in arrays.items()
        if not np.isfinite(array).all()
    ]
    if problems:
        raise UserError(
            expected=f"the {len(expected)} arrays of the model and nothing else in {path}",
            found="; ".join(problems) if found else "no weights in a layout of Keras",
            fix="let Keras write the weights of exactly this model (a backbone: include_top=False)",
        )
    return arrays


def places(
    path: Path, expected: Mapping[str, Shape], ignored: Sequence[str] = ()
) -> dict[str, str]:
    """Where in the file each array of `read` stands: HDF5 path by 'layer/weight'."""
    with _opened(path) as file:
        found = _legacy(file, expected) or _keras3(file, expected, ignored)
        return {name: found[name].name for name in expected if name in found}


def count_layers(path: Path, kind: str) -> int:
    """How many layers are called `kind`, `kind`_1, ..., be they with weights or without.

    Args:
        path: of a file that `read` takes.
        kind: such as Keras names a layer after its class: 'rescaling'.

    Raises:
        UserError: if the file is not a whole HDF5 file.
    """
    with _opened(path) as file:
        layers = set(_names(file.get("model_weights", file), "layer_names"))
        if not layers:
            paths = []
            file.visit(paths.append)
            layers = {path.removesuffix("/vars") for path in paths if path.endswith("/vars")}
    names = [layer.rpartition("/")[2] for layer in layers]
    return sum(re.fullmatch(rf"{kind}(_\d+)?", name) is not None for name in names)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The HDF5 file at `path`, or in the zip file there; what goes wrong with it, in one error."""
    try:
        source: Any = path
        if not h5py.is_hdf5(path) and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(MEMBER))
        with h5py.File(source, "r") as file:
            yield file
    # What h5py and zipfile make of damaged files.
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            expected="a whole HDF5 file with Keras weights, or a .keras file",
            found=f"{path}, which cannot be read ({error})",
            fix="fetch or write the file again",
        ) from error


def misfits(found: Mapping[str, Any], expected: Mapping[str, Shape]) -> list[str]:
    """What is missing, left over, of another shape or not a number, a phrase each.

    Args:
        found: anything with a shape and a dtype, by 'layer/weight'.
        expected: the shapes that there should be.
    """
    if found and not set(found) & set(expected):
        some = ", ".join(list(found)[:3])
        return [f"none of them, but {len(found)} of another network: {some}, ..."]
    problems = [f"{name} is missing" for name in expected if name not in found]
    for name, dataset in found.items():
        if name not in expected:
            problems.append(f"{name} {dataset.shape} is left over")
        elif dataset.shape != expected[name]:
            problems.append(f"{name} has shape {dataset.shape} instead of {expected[name]}")
        elif not _numeric(dataset):
            problems.append(f"{name} has dtype {dataset.dtype}")
    return problems


def _numeric(dataset: Any) -> bool:
    return dataset.dtype.kind in "fiu"


def _legacy(file: Any, expected: Mapping[str, Shape]) -> dict[str, h5py.Dataset]:
    """The arrays of a file in the legacy layout; none if it is not one."""
    root = file.get("model_weights", file)
    layers = {name.partition("/")[0] for name in expected}
    found = {}
    for group in (*_names(root, "layer_names"), "top_level_model_weights"):
        if group not in root:
            continue
        for variable in _names(root[group], "weight_names"):
            # The group knows the layer better than the variable, which Keras may have named after
            # 'block1_conv1_1'; but of a model inside the model, the group is the whole.
            layer, weight = _legacy_name(variable, group)
            layer = group if group in layers else AUTO_NAMED.sub(r"\1", layer)
            found[_unused(f"{layer}/{weight}", found)] = root[group][variable]
    return found


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras splits one that is too long over 'attribute0', 'attribute1', ..."""
    values = list(group.attrs.get(attribute, ()))
    part = 0
    while f"{attribute}{part}" in group.attrs:
        values.extend(group.attrs[f"{attribute}{part}"])
        part += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _legacy_name(variable: str, group: str) -> tuple[str, str]:
    """Layer and weight of 'model/layer/kernel:0', 'layer/kernel', 'kernel' or 'layer_W_1:0'."""
    variable = re.sub(r":\d+$", "", variable)
    if old := re.fullmatch(r"(?:.*/)?([^/]+)_(W|b)(?:_\d+)?", variable):
        return old[1], OLD_ENDINGS[old[2]]
    path, _, weight = variable.rpartition("/")
    weight = OLD_WEIGHTS.get(weight, weight)
    return path.rpartition("/")[2] or group, weight


def _keras3(
    file: Any, expected: Mapping[str, Shape], ignored: Sequence[str]
) -> dict[str, h5py.Dataset]:
    """The arrays of a file in the layout of Keras 3; none if it is not one."""
    weights: dict[str, list[str]] = {}
    for name in sorted(expected, key=lambda name: ORDER.index(name.rpartition("/")[2])):
        weights.setdefault(name.partition("/")[0], []).append(name)
    layers = {
        path: variables
        for path, variables in _variable_groups(file)
        if path.partition("/")[0] not in (*ignored, OPTIMIZER)
    }
    noted = {
        path: AUTO_NAMED.sub(r"\1", str(variables.attrs.get("name", "")))
        for path, variables in layers.items()
    }
    if not set(noted.values()) & set(weights):
        noted = _matched_by_number(list(layers), expected)
    found = {}
    for path, variables in layers.items():
        names = weights.get(noted.get(path, ""), [])
        for number in sorted(variables, key=_counted):
            position = int(number) if number.isdecimal() else len(names)
            name = names[position] if position < len(names) else f"{path}/vars/{number}"
            found[_unused(name, found)] = variables[number]
    return found


def _variable_groups(file: Any) -> Iterator[tuple[str, Any]]:
    """(path of a layer, its group of arrays) for every layer that has any, in Keras's order."""
    paths = []
    file.visit(paths.append)
    paths = [path for path in paths if path.rpartition("/")[2] == "vars"]
    for path in sorted(paths, key=lambda path: [_counted(part) for part in path.split("/")]):
        if len(file[path]):
            yield path.rpartition("/")[0], file[path]


def _counted(part: str) -> tuple[str, int]:
    """A key that sorts 'conv2d', 'conv2d_1', 'conv2d_2', ..., 'conv2d_10', and '2' before '10'."""
    match = re.fullmatch(r"(.*?)_?(\d+)", part)
    # 'block1' and 'conv2d' end in what is part of a name or of a count: both sort right.
    return (match[1], int(match[2])) if match else (part, 0)


def _matched_by_number(paths: Sequence[str], expected: Mapping[str, Shape]) -> dict[str, str]:
    """Layer for path, the n-th of a class being the n-th of that class in the model."""
    layers: dict[str, list[str]] = {}
    for name, shape in expected.items():
        layer, _, weight = name.partition("/")
        if kind := _class_of(weight, shape):
            layers.setdefault(kind, []).append(layer)
    matched = {}
    for path in paths:
        kind = re.sub(r"_\d+$", "", path.rpartition("/")[2])
        if layers.get(kind):
            matched[path] = layers[kind].pop(0)
    return matched


def _class_of(weight: str, shape: Shape) -> str | None:
    """What Keras 3 calls layers of this class; None for all but the first weight of a layer."""
    if weight == "kernel" and len(shape) == 4:
        # One channel out for each channel in: no convolution of these models has only one in all.
        return "depthwise_conv2d" if shape[-1] == 1 else "conv2d"
    return {"kernel": "dense", "gamma": "batch_normalization", "mean": "normalization"}.get(weight)


def _unused(name: str, taken: Mapping[str, object]) -> str:
    """`name`, marked if it is taken: two arrays of one name are one too many."""
    return name if name not in taken else _unused(f"{name} (again)", taken)

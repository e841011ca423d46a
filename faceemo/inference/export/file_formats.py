"""The file formats of an export: how each is written and run, what it takes and returns."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from faceemo.inference.export import (
    keras_file,
    onnx_file,
    onnx_precision,
    places,
    stablehlo,
    tflite,
)
from faceemo.inference.predictor import Predictor
from faceemo.train.checkpoint.trained_model import TrainedModel


class Tensor(NamedTuple):
    """What a file takes or returns, for its description.

    Attributes:
        dtype: The type of its numbers.
        shape: Its shape, in which 'N' is any number of faces, 'side' the run's native size, 'size'
            the side of the network's input, 'classes' the number of classes, 'channels' that of
            channels, and 'colours' the same, but no axis at all for grey faces.
        about: What else there is to say; {kind} stands for 'grey' or 'RGB'.
        name: Its name in the file, if the format has names.
        numbers: The lowest and the highest value; None without limits.
    """

    dtype: str
    shape: tuple[int | str, ...]
    about: str
    name: str | None = None
    numbers: tuple[int, int] | None = None

    def describe(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Describes the tensor, ready for JSON, with sizes in the place of their names.

        In its layout, N counts faces, H rows, W columns, and C channels or classes.
        """
        sizes = [words.get(str(one), one) for one in self.shape]
        shape = [size for size in sizes if size is not None]
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": shape,
            "layout": {2: "NC", 3: "NHW", 4: "NHWC"}[len(shape)],
            "range": self.numbers and list(self.numbers),
            "about": self.about.format(**words),
        }


class Format(NamedTuple):
    """A file format.

    Attributes:
        suffixes: The suffixes that the file's name may have.
        write: Function that writes a network into a file.
        load: Function that loads a file into the format's own runtime; returns a function from
            faces in the network's format to probabilities, float32 [N, C].
        input: What the file takes.
        output: What the file returns.
        converters: Functions that lower the precision of a file, given typical faces, by the
            name of the precision.
    """

    suffixes: tuple[str, ...]
    write: Callable[[TrainedModel, Path], None]
    load: Callable[[Path], Callable[[np.ndarray], np.ndarray]]
    input: Tensor
    output: Tensor
    converters: Mapping[str, Callable[[Path, np.ndarray], None]] = MappingProxyType({})


def in_float32(trained: TrainedModel) -> TrainedModel:
    """Returns the network in float32; in bfloat16 other runtimes would round in other places."""
    config = trained.recipe["config"] | {"dtype": "float32"}
    return TrainedModel.from_recipe(
        trained.recipe | {"config": config},
        trained.variables,
        trained.temperature,
        trained.best_epoch,
    )


def _writerin_float32(
    write: Callable[[TrainedModel, Path], None],
) -> Callable[[TrainedModel, Path], None]:
    """Wraps `write` to write the network in float32."""
    return lambda trained, path: write(in_float32(trained), path)


def _write_npz(trained: TrainedModel, path: Path) -> None:
    """Writes a network's arrays with its recipe, without the folders of this machine."""
    TrainedModel.from_recipe(
        places.shorten_paths(trained.recipe),
        trained.variables,
        trained.temperature,
        trained.best_epoch,
    ).save(path)


_CROPS = "{kind} face crops, rows from top to bottom; enlarged and preprocessed inside"
_PROBABILITIES = "calibrated: logits are divided by the temperature inside; each row sums to 1"
_FACES = Tensor("uint8", ("N", "side", "side", "colours"), _CROPS, "faces", (0, 255))
_WITH_CHANNELS = _FACES._replace(shape=("N", "side", "side", "channels"))
_CALIBRATED = Tensor("float32", ("N", "classes"), _PROBABILITIES, "probabilities", (0, 1))
_RESIZABLE = "; the interpreter's resize_tensor_input makes the 1 in front any number N"
FORMATS = {
    "stablehlo": Format(
        (".stablehlo",),
        _writerin_float32(stablehlo.write),
        stablehlo.load,
        _FACES._replace(name=None),
        _CALIBRATED._replace(name=None),
    ),
    "onnx": Format(
        (".onnx",),
        _writerin_float32(onnx_file.write),
        onnx_file.load,
        _FACES,
        _CALIBRATED,
        onnx_precision.CONVERTERS,
    ),
    "tflite": Format(
        (".tflite",),
        _writerin_float32(tflite.write),
        tflite.load,
        _WITH_CHANNELS._replace(shape=(1, "side", "side", "channels"), about=_CROPS + _RESIZABLE),
        _CALIBRATED._replace(shape=(1, "classes"), about=_PROBABILITIES + _RESIZABLE),
    ),
    "keras": Format(
        (".h5", ".keras"),
        _writerin_float32(keras_file.write),
        keras_file.load,
        _WITH_CHANNELS,
        _CALIBRATED,
    ),
    "npz": Format(
        (".npz",),
        _write_npz,
        lambda path: Predictor(in_float32(TrainedModel.load(path))).probabilities,
        Tensor(
            "float32",
            ("N", "size", "size", 3),
            "arrays of a network for {kind} face crops that were enlarged, given three channels "
            "and preprocessed; faceemo.load does all that",
        ),
        Tensor(
            "float32",
            ("N", "classes"),
            "logits of that network; preprocessing and temperature are data, see 'about' in the "
            "file",
        ),
    ),
}

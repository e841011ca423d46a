"""Export of trained networks into other programs' formats, each checked in its own runtime."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faceemo import staging
from faceemo.assets.downloads import file_digest
from faceemo.errors import UserError
from faceemo.inference.export import keras_file, onnx_file, places, stablehlo, tflite
from faceemo.inference.export.drawn import draw_faces
from faceemo.inference.images import load_images
from faceemo.inference.inputs import find_images
from faceemo.inference.predictor import Predictor
from faceemo.train import compile_cache
from faceemo.train.checkpoint.trained_model import TrainedModel, read

# Largest difference of a probability between two runtimes, which add in different orders.
TOLERANCE = 1e-4
# Faces that the file and the network are compared on: in one batch, and one at a time.
_BATCH_FACES, _SINGLE_FACES = 32, 3


class Format(NamedTuple):
    """A file format.

    Attributes:
        suffix: The suffix of the file's name.
        write: Function that writes a network into a file.
        load: Function that loads a file into the format's own runtime; returns a function from
            faces in the network's format to probabilities, float32 [N, C].
        input: Description of what the file takes; {side} stands for the run's native size, {size}
            for the side of the network's input, {kind} for 'grey' or 'RGB', {last} for the axis of
            colours, if there is one, and {channels} for their number.
        output: Description of what the file returns.
    """

    suffix: str
    write: Callable[[TrainedModel, Path], None]
    load: Callable[[Path], Callable[[np.ndarray], np.ndarray]]
    input: str = "uint8 [N, {side}, {side}{last}], {kind} face crops, 0 to 255"
    output: str = "float32 [N, classes], calibrated probabilities; preprocessing is inside"


def _in_float32(trained: TrainedModel) -> TrainedModel:
    """Returns the network in float32; in bfloat16 other runtimes would round in other places."""
    config = trained.recipe["config"] | {"dtype": "float32"}
    return TrainedModel.from_recipe(
        trained.recipe | {"config": config},
        trained.variables,
        trained.temperature,
        trained.best_epoch,
    )


def _writer_in_float32(
    write: Callable[[TrainedModel, Path], None],
) -> Callable[[TrainedModel, Path], None]:
    """Wraps `write` to write the network in float32."""
    return lambda trained, path: write(_in_float32(trained), path)


def _write_npz(trained: TrainedModel, path: Path) -> None:
    """Writes a network's arrays with its recipe, without the folders of this machine."""
    TrainedModel.from_recipe(
        places.shorten_paths(trained.recipe),
        trained.variables,
        trained.temperature,
        trained.best_epoch,
    ).save(path)


_WITH_CHANNEL = "uint8 [N, {side}, {side}, {channels}], {kind} face crops, 0 to 255"
_ONE_BY_ONE = (
    "uint8 [1, {side}, {side}, {channels}], a face crop, {kind}, 0 to 255; the interpreter's "
    "resize_tensor_input makes that [N, {side}, {side}, {channels}] for N crops"
)
_PREPROCESSED = (
    "arrays of a network for float32 [N, {size}, {size}, 3], {kind} face crops that were enlarged, "
    "given three channels and preprocessed; faceemo.load does all that"
)
FORMATS = {
    "stablehlo": Format(".stablehlo", _writer_in_float32(stablehlo.write), stablehlo.load),
    "onnx": Format(".onnx", _writer_in_float32(onnx_file.write), onnx_file.load),
    "tflite": Format(".tflite", _writer_in_float32(tflite.write), tflite.load, _ONE_BY_ONE),
    "keras": Format(".h5", _writer_in_float32(keras_file.write), keras_file.load, _WITH_CHANNEL),
    "npz": Format(
        ".npz",
        _write_npz,
        lambda path: Predictor(_in_float32(TrainedModel.load(path))).probabilities,
        _PREPROCESSED,
        output="arrays by name; preprocessing and temperature are data, see 'about' in the file",
    ),
}


def export(run: Path, form: str, out: Path, inputs: Sequence[Path] = ()) -> str:
    """Writes a network into a file, if the file's probabilities equal the network's.

    Both compute in float32 for the comparison. A description of the file is written beside it, with
    '.json' added to its name.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        form: The format, one of `FORMATS`.
        out: The file; an older one is replaced.
        inputs: Images of faces, or folders of them, to compare on; none for drawn faces.

    Returns:
        A sentence about the comparison.

    Raises:
        UserError: If `out` has another suffix than the format, no image can be read, the format's
            program is not installed, or the probabilities differ; then nothing is written.
    """
    chosen = FORMATS[form]
    if out.suffix != chosen.suffix:
        raise UserError(
            expected=f"a file ending in {chosen.suffix} for the format {form}",
            found=str(out),
            fix=f"name it {out.with_suffix(chosen.suffix).name}",
        )
    compile_cache.enable()
    trained = read(run)
    predictor = Predictor(_in_float32(trained))
    if inputs:
        faces = _load_faces(predictor, inputs)
    else:
        faces = draw_faces(_BATCH_FACES, trained.image_format)
    with staging.file(out) as partial:
        chosen.write(trained, partial)
        difference = _compare(chosen.load(partial), predictor, faces, form)
        about = _describe(trained, form, partial, len(faces), difference)
        with staging.file(out.with_name(f"{out.name}.json")) as beside:
            beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return (
        f"{out}: on {len(faces)} {'' if inputs else 'drawn '}faces, in a batch and one at a time, "
        f"its probabilities differ from the network's by at most {difference:.1e}; "
        f"{out.name}.json describes it"
    )


def _load_faces(predictor: Predictor, inputs: Sequence[Path]) -> np.ndarray:
    """Loads up to `_BATCH_FACES` images, spread evenly over the inputs, in the network's format.

    Raises:
        UserError: If no image can be read.
    """
    files = find_images(inputs)
    count = min(len(files), _BATCH_FACES)
    images = load_images([files[number * len(files) // count] for number in range(count)])
    crops = [face.crop for image in images for face in predictor.find_faces(image, crops=True)]
    if not crops:
        raise UserError(
            expected="images of faces to compare the file and the network on",
            found="none that can be read",
            fix="name some with --faces, such as data/unique_images/validation",
        )
    return np.stack(crops)


def _compare(
    run_file: Callable[[np.ndarray], np.ndarray], predictor: Predictor, faces: np.ndarray, form: str
) -> float:
    """Returns the largest difference of a probability between a file and the network.

    Raises:
        UserError: If it exceeds `TOLERANCE`.
    """
    probabilities = predictor.probabilities(faces)
    expected = [probabilities, *(row[None] for row in probabilities[:_SINGLE_FACES])]
    found = [run_file(faces), *(run_file(one[None]) for one in faces[:_SINGLE_FACES])]
    difference = 1.0
    if all(one.shape == other.shape for one, other in zip(found, expected, strict=True)):
        difference = float(np.abs(np.concatenate(found) - np.concatenate(expected)).max())
    if not difference <= TOLERANCE:  # so that NaN is refused too
        raise UserError(
            expected=f"{form} probabilities within {TOLERANCE} of the network's on {len(faces)} "
            "faces",
            found=f"a difference of {difference:.2g}; nothing was written",
            fix="report this with the versions of jax and of the format's program",
        )
    return difference


def _describe(
    trained: TrainedModel, form: str, path: Path, faces: int, difference: float
) -> dict[str, Any]:
    """Describes a file for its users, ready for JSON.

    Args:
        trained: The network that was exported.
        form: The format.
        path: The file.
        faces: The number of faces in the comparison.
        difference: The largest difference of a probability.
    """
    form = trained.image_format
    words = {
        "side": form.size,
        "size": trained.model.image_size,
        "kind": "RGB" if form.in_colour else "grey",
        "last": ", 3" if form.in_colour else "",
        "channels": 3 if form.in_colour else 1,
    }
    return {
        "format": form,
        "sha256": file_digest(path),
        "input": FORMATS[form].input.format(**words),
        "output": FORMATS[form].output,
        "classes": list(trained.classes),
        "image_size": trained.model.image_size,
        "preprocessing": trained.preprocessing.to_dict(),
        "temperature": trained.temperature,
        "best_epoch": trained.best_epoch,
        "config": places.remove_places(trained.recipe["config"]),
        "checked": {"faces": faces, "largest_difference": difference},
    }

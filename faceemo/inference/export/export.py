"""Trained networks in the forms of other programs, each checked in its own runtime."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faceemo import staging
from faceemo.assets.downloads import file_digest
from faceemo.errors import UserError
from faceemo.inference.export import keras_file, onnx_file, stablehlo, tflite
from faceemo.inference.images import files_below, pictures_of
from faceemo.inference.predictor import Predictor
from faceemo.train import compile_cache
from faceemo.train.checkpoint.trained_model import TrainedModel, read

# Of probabilities, between two runtimes that add the same numbers in another order.
TOLERANCE = 1e-4
_FACES, _ALONE = 32, 3  # that the file is asked about: together, and one at a time


class Format(NamedTuple):
    """A form of file.

    Attributes:
        suffix: of its name.
        write: writes it.
        reader: what it computes, in its own runtime: uint8 [N, S, S] -> probabilities [N, C].
        output: what it gives, in words.
    """

    suffix: str
    write: Callable[[TrainedModel, Path], None]
    reader: Callable[[Path], Callable[[np.ndarray], np.ndarray]]
    output: str = "float32 [N, classes], calibrated probabilities; preprocessing is inside"


def _in_float32(trained: TrainedModel) -> TrainedModel:
    """Returns the network computing in float32: other runtimes round bfloat16 elsewhere."""
    config = trained.recipe["config"] | {"dtype": "float32"}
    return TrainedModel.from_recipe(
        trained.recipe | {"config": config},
        trained.variables,
        trained.temperature,
        trained.best_epoch,
    )


def _function_writer(
    write: Callable[[TrainedModel, Path], None],
) -> Callable[[TrainedModel, Path], None]:
    """Makes `write` export the network's function in float32."""
    return lambda trained, path: write(_in_float32(trained), path)


FORMATS = {
    "stablehlo": Format(".stablehlo", _function_writer(stablehlo.write), stablehlo.reader),
    "onnx": Format(".onnx", _function_writer(onnx_file.write), onnx_file.reader),
    "tflite": Format(".tflite", _function_writer(tflite.write), tflite.reader),
    "keras": Format(".h5", _function_writer(keras_file.write), keras_file.reader),
    "npz": Format(
        ".npz",
        lambda trained, path: trained.save(path),
        lambda path: Predictor(_in_float32(TrainedModel.load(path))).probabilities,
        output="arrays by name; preprocessing and temperature are data, see 'about' in the file",
    ),
}


def export(run: Path, form: str, out: Path, inputs: Sequence[Path]) -> str:
    """Writes `out`, and `out`.json with what belongs to it, if the file answers as the run does.

    Both compute in float32, also where the run did not.

    Args:
        run: the run's folder, or a file of `faceemo.train.checkpoint.trained_model`.
        form: of `FORMATS`.
        out: the file; what was there is replaced.
        inputs: images of faces, or folders of them, that both are asked about.

    Returns:
        a line on how well they agree.

    Raises:
        UserError: if `out` ends otherwise than the format, no image can be read, the format's
            program is not installed, or the file answers otherwise; then nothing is written.
    """
    chosen = FORMATS[form]
    if out.suffix != chosen.suffix:
        raise UserError(
            expected=f"a file ending in {chosen.suffix} for {form}",
            found=str(out),
            fix=f"name it {out.with_suffix(chosen.suffix).name}",
        )
    compile_cache.enable()
    trained = read(run)
    predictor = Predictor(_in_float32(trained))
    faces = _faces(predictor, inputs)
    with staging.file(out) as partial:
        chosen.write(trained, partial)
        apart = _compare(chosen.reader(partial), predictor, faces, form)
        about = _about(trained, form, partial, len(faces), apart)
        with staging.file(out.with_name(f"{out.name}.json")) as beside:
            beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return (
        f"{out}: on {len(faces)} faces, together and one at a time, its probabilities are at most "
        f"{apart:.1e} from the run's"
    )


def _faces(predictor: Predictor, inputs: Sequence[Path]) -> np.ndarray:
    """Faces from all over the inputs as the network is shown them, uint8 [N, S, S]."""
    files = [file for path in inputs for file in files_below(path)]
    pictures = pictures_of(files[:: -(-len(files) // _FACES) or 1])
    crops = [face.crop for picture in pictures for face in predictor.faces(picture, crops=True)]
    if not crops:
        raise UserError(
            expected="images of faces to check the file with",
            found="none that can be read",
            fix="name some with --faces, such as data/unique_images/validation",
        )
    return np.stack(crops)


def _compare(
    runtime: Callable[[np.ndarray], np.ndarray], predictor: Predictor, faces: np.ndarray, form: str
) -> float:
    """The largest difference of a probability.

    Raises:
        UserError: if it is more than `TOLERANCE`.
    """
    wanted = predictor.probabilities(faces)
    answers = [runtime(faces), *(runtime(one[None]) for one in faces[:_ALONE])]
    expected = [wanted, *(row[None] for row in wanted[:_ALONE])]
    apart = 1.0
    if all(one.shape == other.shape for one, other in zip(answers, expected, strict=True)):
        apart = float(np.abs(np.concatenate(answers) - np.concatenate(expected)).max())
    if not apart <= TOLERANCE:  # nor if it is no number
        raise UserError(
            expected=f"{form} to answer within {TOLERANCE} of the run on {len(faces)} faces",
            found=f"a probability that is {apart:.2g} away; nothing was written",
            fix="report this with the versions of jax and of the format's program",
        )
    return apart


def _about(
    trained: TrainedModel, form: str, path: Path, faces: int, apart: float
) -> dict[str, Any]:
    """What a user of the file has to know, ready for JSON."""
    side = trained.config.native_size
    return {
        "format": form,
        "sha256": file_digest(path),
        "input": f"uint8 [N, {side}, {side}], faces that fill the square, grey, 0 to 255",
        "output": FORMATS[form].output,
        "classes": list(trained.classes),
        "image_size": trained.model.image_size,
        "preprocessing": trained.preprocessing.to_dict(),
        "temperature": trained.temperature,
        "best_epoch": trained.best_epoch,
        "config": trained.recipe["config"],
        "checked": {"faces": faces, "largest_difference": apart},
    }

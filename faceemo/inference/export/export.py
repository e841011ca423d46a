"""Export of trained networks into other programs' formats, each checked in its own runtime."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.assets.downloads import file_digest
from faceemo.errors import UserError
from faceemo.inference.export import onnx_precision, sidecar
from faceemo.inference.export.comparison_faces import choose_faces
from faceemo.inference.export.file_formats import FORMATS, in_float32
from faceemo.inference.export.parity import TOLERANCES, measure_difference
from faceemo.inference.export.web import site
from faceemo.inference.predictor import Predictor
from faceemo.train.checkpoint.trained_model import TrainedModel, read
from faceemo.train.programs import compile_cache


def export(
    run: Path,
    form: str,
    out: Path,
    inputs: Sequence[Path] = (),
    precision: str = onnx_precision.FLOAT32,
) -> str:
    """Writes a network into a file, if the file's probabilities equal the network's.

    The network computes in float32 for the comparison. A description of the file is written beside
    it (`sidecar`), with '.json' added to its name.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        form: The format, one of `FORMATS`, or 'web' for a page, see `web.site.write`.
        out: The file; an older one is replaced. The folder for 'web'.
        inputs: Images of faces, or folders of them, to compare on, and to calibrate int8 on; none
            for drawn faces, or for int8 the run's training images.
        precision: The precision of the file, one of `TOLERANCES`, which has the largest difference
            of a probability for each.

    Returns:
        A sentence about the comparison.

    Raises:
        UserError: If `out` has another suffix than the format, the format has no such precision, no
            image can be read, int8 has too few faces, the format's program is not installed, or the
            probabilities differ; then nothing is written.
    """
    if form == site.FORM and precision == onnx_precision.FLOAT32:
        return site.write(run, out, inputs)
    _check_precision(form, precision)
    chosen = FORMATS[form]
    if out.suffix not in chosen.suffixes:
        raise UserError(
            expected=f"a file ending in {' or '.join(chosen.suffixes)} for the format {form}",
            found=str(out),
            fix=f"name it {out.with_suffix(chosen.suffixes[0]).name}",
        )
    compile_cache.enable()
    trained = read(run)
    predictor = Predictor(in_float32(trained))
    faces, calibration, kind = choose_faces(
        predictor, inputs, precision if precision in onnx_precision.CALIBRATED else None
    )
    with staging.file(out) as partial:
        chosen.write(trained, partial)
        if precision in chosen.converters:
            chosen.converters[precision](partial, calibration)
        difference = _compare(chosen.load(partial), predictor, faces, form, precision)
        about = _describe(trained, form, partial) | {
            "precision": precision,
            "checked": {
                "faces": len(faces),
                "largest_difference": difference,
                "tolerance": TOLERANCES[precision],
            },
            "calibrated_on": len(calibration) or None,
        }
        with staging.file(out.with_name(f"{out.name}.json")) as beside:
            beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    calibrated = f" calibrated on {len(calibration)} faces," if len(calibration) else ""
    return (
        f"{out}:{calibrated} on {len(faces)} {kind}, in a batch and one at a time, "
        f"its probabilities differ from the network's by at most {difference:.1e}; "
        f"{out.name}.json describes it"
    )


def _check_precision(form: str, precision: str) -> None:
    """Raises a `UserError` if a format has no such precision."""
    converters = FORMATS[form].converters if form in FORMATS else {}
    if precision not in (onnx_precision.FLOAT32, *converters):
        able = [name for name, one in FORMATS.items() if precision in one.converters]
        raise UserError(
            expected=f"a format with {precision}: {', '.join(able)}",
            found=f"--format {form}",
            fix=f"give --format {able[0]}, or omit --precision",
        )


def _compare(
    run_file: Callable[[np.ndarray], np.ndarray],
    predictor: Predictor,
    faces: np.ndarray,
    form: str,
    precision: str,
) -> float:
    """Returns the largest difference of a probability between a file and the network.

    Raises:
        UserError: If it exceeds that of `TOLERANCES`.
    """
    tolerance = TOLERANCES[precision]
    difference = measure_difference(run_file, faces, predictor.probabilities(faces))
    if not difference <= tolerance:  # so that NaN is refused too
        raise UserError(
            expected=f"{form} probabilities within {tolerance:g} of the network's on {len(faces)} "
            "faces",
            found=f"a difference of {difference:.2g}; nothing was written",
            fix="report this with the versions of jax and of the format's program"
            if precision == onnx_precision.FLOAT32
            else f"omit --precision {precision}, or calibrate it on other --faces",
        )
    return difference


def _describe(trained: TrainedModel, form: str, path: Path) -> dict[str, Any]:
    """Describes a file for its users, ready for JSON.

    Args:
        trained: The network that was exported.
        form: The format.
        path: The file.
    """
    images = trained.image_format
    words = {
        "side": images.size,
        "size": trained.model.image_size,
        "classes": len(trained.classes),
        "channels": 3 if images.in_colour else 1,
        "colours": 3 if images.in_colour else None,
        "kind": "RGB" if images.in_colour else "grey",
    }
    return {
        "format": form,
        "sha256": file_digest(path),
        "input": FORMATS[form].input.describe(words),
        "output": FORMATS[form].output.describe(words),
    } | sidecar.describe(trained)

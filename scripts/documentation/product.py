"""The picture at the top of the README: a photograph with the face found in it, and a report."""

from pathlib import Path

import numpy as np
from PIL import Image

import faceemo
from faceemo.inference import annotate

_HEIGHT = 512  # of the picture, pixels
_REPORT_SHAPE = 0.75  # height of the report's part that is shown, as a share of its width
_GAP = 24
_COLOURS = 192


def draw(photograph: Path, report: Path, target: Path) -> Path:
    """Draws the predictions for a photograph beside a picture of a report.

    Args:
        photograph: A photograph with a face.
        report: A picture of a report's first screen.
        target: PNG file to write.

    Returns:
        `target`.
    """
    pixels = np.asarray(Image.open(photograph).convert("RGB"))
    predictions = faceemo.load().predict(str(photograph))
    page = Image.open(report)
    page = page.crop((0, 0, page.width, round(_REPORT_SHAPE * page.width)))
    parts = [Image.fromarray(annotate.annotate(pixels, predictions)), page]
    parts = [
        part.convert("RGB").resize(
            (part.width * _HEIGHT // part.height, _HEIGHT), Image.Resampling.LANCZOS
        )
        for part in parts
    ]
    whole = Image.new("RGB", (sum(part.width for part in parts) + _GAP, _HEIGHT), "white")
    whole.paste(parts[0], (0, 0))
    whole.paste(parts[1], (parts[0].width + _GAP, 0))
    whole.quantize(_COLOURS).save(target, optimize=True)
    return target

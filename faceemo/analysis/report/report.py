"""Writes the report of one run on one split: a self-contained page and the files behind it."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis.predictions import Predictions, classification_report
from faceemo.analysis.report import figures, page
from faceemo.analysis.report.failures import GalleryExtras
from faceemo.analysis.report.results import Results
from faceemo.errors import ESCAPE, UserError, escape_name

FILES = (
    "index.html",
    "scores.json",
    "slices.json",
    "calibration.json",
    "votes.json",
    "predictions.csv",
    "classification_report.txt",
    *(f"{name}.png" for name in figures.FIGURES),
)


def write(
    folder: Path,
    *,
    split: str,
    predictions: Predictions,
    history: Sequence[dict[str, float]],
    summary: Mapping[str, Any],
    slices: Sequence[Mapping[str, Any]] = (),
    fitted: Mapping[str, Any] | None = None,
    extras: GalleryExtras | None = None,
) -> Path:
    """Writes the report into `folder`, completely or not at all; an older report stays until then.

    Args:
        folder: Folder for this report alone. `FILES` lists its future content; figures that lack
            their data, such as learning curves without a history, are left out.
        split: Name of the split.
        predictions: The model's predictions on it.
        history: One row per epoch (see `Results.history`).
        summary: The run's record (see `Results.summary`).
        slices: Scores of the slices (`slices.score_slices`).
        fitted: The run's temperature (`calibration.fit`), or None.
        extras: Optional material for the gallery.

    Returns:
        The path of index.html.

    Raises:
        UserError: If `folder` holds files that do not belong to a report.
    """
    folder = Path(folder)
    _refuse_other_files(folder)
    results = Results(
        split, predictions, history, summary, slices, fitted, extras or GalleryExtras()
    )
    with staging.folder(folder) as partial:
        _write_files(partial, results)
    return folder / "index.html"


def _write_files(folder: Path, results: Results) -> None:
    drawings = figures.draw_figures(results)
    for drawing in drawings:
        (folder / f"{drawing.name}.png").write_bytes(drawing.light)
    for name, record in (
        ("scores.json", results.scores),
        ("slices.json", results.slices),
        ("calibration.json", results.calibration),
        ("votes.json", results.votes),
    ):
        if record is None:
            continue
        _write_text(folder / name, f"{json.dumps(record, indent=2, allow_nan=False)}\n")
    table = classification_report(results.predictions)
    _write_text(folder / "classification_report.txt", f"{results.subtitle}\n\n{table}")
    _write_predictions(folder / "predictions.csv", results.calibrated)
    _write_text(folder / "index.html", page.render(results, drawings))


def _write_text(path: Path, text: str) -> None:
    """Writes `text`; bytes of a file name that are not UTF-8 appear as their escapes."""
    path.write_text(text, encoding="utf-8", errors=ESCAPE)


def _write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes one row per image, with the path in its source last.

    Nine digits restore a float32 exactly. Where there are votes, the source's label, the emotion
    with their majority, and the share of the votes for each class come before the path.
    """
    with path.open("w", encoding="utf-8", errors=ESCAPE, newline="") as file:
        rows = csv.writer(file)
        header, voted = _list_votes(predictions)
        rows.writerow(["path", "label", "predicted", *predictions.classes, *header, "source_path"])
        for image, name, label, predicted, row, more in zip(
            predictions.paths,
            predictions.names,
            predictions.labels,
            predictions.predicted,
            predictions.probabilities,
            voted,
            strict=True,
        ):
            words = (predictions.classes[label], predictions.classes[predicted])
            numbers = (f"{p:.9g}" for p in row)
            rows.writerow([escape_name(image), *words, *numbers, *more, escape_name(name)])


def _list_votes(predictions: Predictions) -> tuple[list[str], list[list[str]]]:
    """Returns the columns about votes, and their values for each image; none without votes."""
    votes, classes = predictions.votes, (*predictions.classes, "")  # -1 is the last
    if votes is None:
        return [], [[] for _ in predictions.paths]
    header = ["given_label", "majority", *(f"votes_{name}" for name in predictions.classes)]
    return header, [
        [classes[given], classes[majority], *(f"{share:.4g}" for share in shares)]
        for given, majority, shares in zip(
            votes.given.tolist(), votes.majority.tolist(), votes.distribution, strict=True
        )
    ]


def _refuse_other_files(folder: Path) -> None:
    """Refuses a folder with other files, since the folder will be replaced as a whole."""
    entries = folder.iterdir() if folder.is_dir() else ()
    others = sorted(
        entry.name
        for entry in entries
        if entry.name not in FILES and (entry.is_dir() or not entry.name.startswith("."))
    )
    if others or folder.is_file():
        raise UserError(
            expected=f"a folder for the report alone at {folder}",
            found=", ".join(others[:5]) + (" and more" if others[5:] else "")
            if others
            else "a file",
            fix="move these files elsewhere, or choose another folder",
        )

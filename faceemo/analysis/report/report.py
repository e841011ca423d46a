"""The report of one run on one split: a page that needs no other file, and what it was made of."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions, classification_report, compute_scores
from faceemo.analysis.report import figures, page
from faceemo.analysis.report.failures import Known
from faceemo.analysis.report.reliability import reliability_diagram
from faceemo.analysis.theme import style
from faceemo.errors import UserError

FILES = (
    "index.html",
    "scores.json",
    "slices.json",
    "calibration.json",
    "predictions.csv",
    "classification_report.txt",
    "accuracy.png",
    "loss.png",
    "confusion_matrix.png",
    "classification_report.png",
    "misclassified.png",
    "reliability.png",
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
    known: Known | None = None,
) -> Path:
    """Writes the report into `folder`, whole or not at all; a former report stays until then.

    Args:
        folder: for this report alone. See `FILES` for what it will hold; without a history there
            is no accuracy.png and no loss.png.
        split: which split the predictions are of.
        predictions: the model's answers.
        history: a row per epoch, with 'epoch', 'train/loss', 'train/accuracy', 'validation/loss',
            'validation/accuracy', 'seconds' and 'images_per_second'; may be empty.
        summary: about the run, shown at the head of the page; dicts inside it become tables of
            their own. Read from it, where present: arch, variant, dataset (or config's) and
            majority_baseline (of validation, drawn into the learning curve).
        slices: of `faceemo.analysis.slices.scores`.
        fitted: of `calibration.fit`; the run's temperature, which only the section on calibration
            applies. None if it has none.
        known: of the images, for the gallery.

    Returns:
        The path of index.html.

    Raises:
        UserError: if `folder` holds files that are no part of a report.
    """
    folder = Path(folder)
    _refuse_strangers(folder)
    with staging.folder(folder) as fresh:
        _fill(fresh, split, predictions, history, summary, slices, fitted, known or Known())
    return folder / "index.html"


def _fill(
    folder: Path,
    split: str,
    predictions: Predictions,
    history: Sequence[dict[str, float]],
    summary: Mapping[str, Any],
    slices: Sequence[Mapping[str, Any]],
    fitted: Mapping[str, Any] | None,
    known: Known,
) -> None:
    scores = compute_scores(predictions)
    measured = calibration.before_and_after(predictions, fitted)
    drawn = _field(summary, "dataset") == "sample"
    model = _model_name(summary)
    kind = "drawings, not photographs" if drawn else "images"
    about = f"{model} on {split}, {scores['images']:,} {kind}"
    trained = f"{model}, on drawings, not photographs" if drawn else model
    baseline = scores["majority_baseline"] if split == "validation" else None
    baseline = summary.get("majority_baseline", baseline)

    def accuracy(theme: style.Theme):
        return figures.learning_curve(
            history, "accuracy", subtitle=trained, baseline=baseline, theme=theme
        )

    def loss(theme: style.Theme):
        return figures.learning_curve(history, "loss", subtitle=trained, theme=theme)

    def reliability(theme: style.Theme):
        return reliability_diagram(measured, scores, subtitle=about, theme=theme)

    curves = []
    for name, draw in (("accuracy", accuracy), ("loss", loss)) if history else ():
        light, dark = _png(draw(style.LIGHT)), _png(draw(style.DARK))
        (folder / f"{name}.png").write_bytes(light)
        curves.append((name, light, dark))
    diagram = (_png(reliability(style.LIGHT)), _png(reliability(style.DARK)))
    (folder / "reliability.png").write_bytes(diagram[0])
    for name, figure in (
        ("confusion_matrix", figures.confusion_matrix(scores, subtitle=about)),
        ("classification_report", figures.classification_report(scores, subtitle=about)),
        ("misclassified", figures.misclassified(predictions, subtitle=about)),
    ):
        (folder / f"{name}.png").write_bytes(_png(figure))
    for name, record in (
        ("scores.json", scores),
        ("slices.json", slices),
        ("calibration.json", measured),
    ):
        text = json.dumps(record, indent=2, allow_nan=False)
        (folder / name).write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    # In what follows, bytes of a file name that are no text (surrogates) appear as their escapes.
    (folder / "classification_report.txt").write_text(
        f"{about}\n\n{classification_report(predictions)}",
        encoding="utf-8",
        errors="backslashreplace",
    )
    _write_predictions(folder / "predictions.csv", predictions)
    text = page.render(
        title=f"{model} on {split}",
        split=split,
        drawn=drawn,
        predictions=predictions,
        scores=scores,
        curves=curves,
        history=history,
        summary=summary,
        slices=slices,
        calibration=measured,
        diagram=diagram,
        known=known,
    )
    (folder / "index.html").write_text(text, encoding="utf-8", errors="backslashreplace")


def _write_predictions(path: Path, predictions: Predictions) -> None:
    """One row per image; nine digits give a float32 back exactly."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "predicted", *predictions.classes])
        for name, label, answer, row in zip(
            predictions.paths,
            predictions.labels,
            predictions.predicted,
            predictions.probabilities,
            strict=True,
        ):
            words = (predictions.classes[label], predictions.classes[answer])
            rows.writerow([name, *words, *(f"{p:.9g}" for p in row)])


def _refuse_strangers(folder: Path) -> None:
    """The folder will be replaced as a whole: what is not ours must not go with it."""
    entries = folder.iterdir() if folder.is_dir() else ()
    strangers = sorted(
        entry.name
        for entry in entries
        if entry.name not in FILES and (entry.is_dir() or not entry.name.startswith("."))
    )
    if strangers or folder.is_file():
        raise UserError(
            expected=f"a folder for the report alone at {folder}",
            found=", ".join(strangers[:5]) + (" and more" if strangers[5:] else "")
            if strangers
            else "a file",
            fix="move that elsewhere, or choose another folder",
        )


def _field(summary: Mapping[str, Any], name: str) -> Any:
    """A field of the run, from the summary itself or from the config in it."""
    config = summary.get("config")
    inner = config.get(name) if isinstance(config, Mapping) else None
    return summary.get(name, inner)


def _model_name(summary: Mapping[str, Any]) -> str:
    parts = [_field(summary, "arch"), _field(summary, "variant")]
    return ":".join(str(part) for part in parts if part is not None) or "model"


def _png(figure) -> bytes:
    buffer = io.BytesIO()
    style.save(figure, buffer)
    return buffer.getvalue()

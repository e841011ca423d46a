"""The page about a dataset: what is in it, what it looks like, what was left out and why.

It shows what the preparation has found out so far and says which stages are missing; it does none
of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from faceemo import staging
from faceemo.analysis.dataset import brightness, census, charts, cleaning, galleries
from faceemo.analysis.dataset.census import Census
from faceemo.analysis.theme import palette, template
from faceemo.assets.downloads import file_digest
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.source import archive

NAME = "exploration.html"

_STAGES = {  # what is left after each, and what does it
    "unpack": ("in the zip", "scripts/explore_data.py"),
    "screen": ("face found", "scripts/detect_faces.py"),
    "dedupe": ("unique", "scripts/remove_duplicates.py"),
}
_BRIGHTNESS = charts.Scale(0, 255, (0, 64, 128, 192, 255))
_CONTRAST = charts.Scale(0, 120, (0, 30, 60, 90, 120))
_CONFIDENCE = charts.Scale(
    0.01, 0.99999, (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999), bend=charts.log_odds
)
_ENLARGED = 4  # mean faces: times their side, smoothly, which a browser would not do
_FULL_DIFFERENCE = 24.0  # grey levels from the mean of the classes that take the full colour


def write(
    root: Path, seed: int, hashes: Mapping[str, str] | None = None, path: Path | None = None
) -> Path:
    """Writes the page about the dataset in `root`; returns its path.

    Args:
        root: folder of an unpacked dataset.
        seed: of what is drawn at random.
        hashes: `archive.hashes` of the originals, if they are known already.
        path: of the page; root/exploration.html if None.
    """
    folder = root / archive.FOLDER
    counted = census.read(root, archive.hashes(folder) if hashes is None else hashes)
    measured = brightness.measure(folder, counted.images)
    album = galleries.Album(root)
    text = template.render(
        "analysis/dataset/exploration.html.j2",
        title=f"{len(counted.images):,} images",
        census=counted,
        splits=SPLITS,
        bins=charts.BINS,
        stages=_STAGES,
        missing=[stage for stage in prepare.STAGES if stage not in counted.stages],
        faces=_mean_faces(counted, measured),
        key=_key(counted),
        bars=_bars(counted),
        table=_table(counted),
        samples=galleries.samples(album, counted, seed),
        light_charts=_light(counted, measured),
        extremes=galleries.extremes(album, counted, measured),
        detector=_detector(counted),
        losses=cleaning.losses(counted),
        leaks=cleaning.leaks(counted),
        left_out=galleries.left_out(album, counted, seed),
        fates=cleaning.looks_of_fates(),
        seed=seed,
        digest=_digest(root) if counted.rows else None,
    )
    path = path or root / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _key(counted: Census) -> dict[str, Any]:
    """The figures at the head of the page."""
    kept = sum(row.fate == ledger.KEPT for row in counted.rows)
    key: dict[str, Any] = {"images": len(counted.images), "kept": kept}
    key["left_out"] = len(counted.rows) - kept
    if "dedupe" in counted.stages:
        before, after = counted.leaks()
        of_validation = sum(row.split == "validation" for row in counted.rows)
        leaked = sum(before["validation in train"]["same dHash"].values())
        key["leaked"] = leaked
        key["leaked_share"] = leaked / max(of_validation, 1)
        key["leaked_after"] = sum(after["validation in train"]["same dHash"].values())
    return key


def _mean_faces(counted: Census, measured: brightness.Looks) -> list[dict[str, Any]]:
    """Each class's mean face, and where it differs, but for its brightness, from their mean."""
    rows = []
    means = measured.mean_faces
    overall = np.mean(list(means.values()), axis=0) if means else np.zeros((brightness.SIDE,) * 2)
    for label in counted.classes:
        count = sum(path.split("/")[1] == label for path in counted.images)
        row: dict[str, Any] = {"label": label, "count": count, "face": None}
        row["share"] = count / len(counted.images)
        if label in means:
            row["face"] = _enlarged(np.round(means[label]).astype(np.uint8))
            difference = means[label] - overall
            difference = (difference - difference.mean()) / _FULL_DIFFERENCE
            row["light"] = _difference(difference, palette.LIGHT)
            row["dark"] = _difference(difference, palette.DARK)
        rows.append(row)
    return rows


def _difference(difference: np.ndarray, theme: palette.Theme) -> str:
    """Blue where darker, orange where brighter, the paper's colour where the same; -1 to 1."""
    colours = [theme.first, theme.paper, theme.second]
    shades = LinearSegmentedColormap.from_list("difference", colours)
    return _enlarged((shades((difference + 1) / 2)[..., :3] * 255).round().astype(np.uint8))


def _enlarged(pixels: np.ndarray) -> str:
    side = _ENLARGED * brightness.SIDE
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return template.png_uri(template.encode_png(picture))


def _bars(counted: Census) -> list[dict[str, Any]]:
    """Per split and class what is left after each finished stage, as shares of the largest."""
    counts = {stage: counted.counts(stage) for stage in counted.stages}
    last = counts[counted.stages[-1]]
    rows = []
    for split in SPLITS:
        most = max(1, *counts["unpack"][split].values())
        total = sum(last[split].values())
        bars = [
            {
                "label": label,
                "parts": [
                    {
                        "stage": stage,
                        "count": numbers[split][label],
                        "width": 100 * numbers[split][label] / most,
                    }
                    for stage, numbers in counts.items()
                ],
                "share": last[split][label] / total if total else None,
            }
            for label in counted.classes
        ]
        rows.append({"split": split, "total": total, "bars": bars})
    return rows


def _table(counted: Census) -> list[dict[str, Any]]:
    """Per split, with its sum first, and class: (here, the original's) after each stage."""
    both = [(counted.counts(stage), counted.published(stage)) for stage in counted.stages]

    def line(name: str, splits: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
        cells = [
            tuple(
                counts and sum(counts[split][label] for split in splits for label in labels)
                for counts in pair
            )
            for pair in both
        ]
        return {"name": name, "cells": cells, "first": len(labels) > 1}

    rows = []
    for split in SPLITS:
        rows.append(line(split, [split], counted.classes))
        rows += [line(label, [split], [label]) for label in counted.classes]
    return [*rows, line("all", SPLITS, counted.classes)]


def _light(counted: Census, measured: brightness.Looks) -> list[dict[str, Any]]:
    """The distributions of brightness and contrast per class."""
    labels = np.array([path.split("/")[1] for path in measured.paths])
    result = []
    for title, unit, values, scale in (
        ("Brightness", "mean grey level, 0 black to 255 white", measured.brightness, _BRIGHTNESS),
        ("Contrast", "standard deviation of the grey levels", measured.contrast, _CONTRAST),
    ):
        of_class = {label: values[labels == label] for label in counted.classes}
        rows, overall = charts.ridges(of_class, scale)
        result.append(
            {
                "title": title,
                "unit": unit,
                "rows": rows,
                "all": overall,
                "marks": scale.marks(),
                "form": ".0f",
            }
        )
    return result


def _detector(counted: Census) -> dict[str, Any] | None:
    """The distribution of the detector's confidence per class; None before screening."""
    if "screen" not in counted.stages:
        return None
    rows = [row for row in counted.rows if row.face_confidence is not None]
    values = {
        label: np.array([row.face_confidence for row in rows if row.label == label], float)
        for label in counted.classes
    }
    ridges, overall = charts.ridges(values, _CONFIDENCE)
    below = {label: int((array <= counted.threshold).sum()) for label, array in values.items()}
    return {
        "title": "Confidence of the best face",
        "unit": "0 to 1, spread out towards both ends",
        "rows": ridges,
        "all": overall,
        "marks": _CONFIDENCE.marks(),
        "form": ".4f",
        "below": below,
        "line": float(_CONFIDENCE.place(counted.threshold)),
        "threshold": counted.threshold,
    }


def _digest(root: Path) -> str:
    return file_digest(root / ledger.NAME)

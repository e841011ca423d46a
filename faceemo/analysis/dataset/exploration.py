"""Writes the page about a dataset: its counts and images, and which were left out and why.

The page shows the results of the preparation so far and names the missing stages; it runs none of
them.
"""

import collections
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
from faceemo.config import SCREENS, SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.source import archive

NAME = "exploration.html"

_STAGES = {  # stage -> (images that remain after it, command that runs it)
    "unpack": ("in the source", "faceemo explore"),
    "screen": ("face found", "faceemo prepare --until screen"),
    "dedupe": ("unique", "faceemo prepare"),
}
_BRIGHTNESS = charts.Scale(0, 255, (0, 64, 128, 192, 255))
_CONTRAST = charts.Scale(0, 120, (0, 30, 60, 90, 120))
_CONFIDENCE = charts.Scale(
    0.01, 0.99999, (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999), transform=charts.log_odds
)
_MOST_MEASURED = 50_000  # images; of more, some at even distances are measured
_ENLARGED = 4  # factor of the mean faces, enlarged smoothly, which a browser would not do
_FULL_DIFFERENCE = 24.0  # grey levels from the mean of the classes that give the full colour


def write(
    root: Path,
    seed: int,
    hashes: Mapping[str, str] | None = None,
    path: Path | None = None,
    *,
    include_test: bool = False,
) -> Path:
    """Writes the page about the dataset in `root`; returns its path.

    Images of test are counted, but neither shown nor measured unless `include_test` is true: who
    has looked at them may choose by them.

    Args:
        root: Folder of an unpacked dataset.
        seed: Seed of the random choices.
        hashes: Hashes of the originals (`archive.hash_images`), if they are known already.
        path: Path of the page; root/exploration.html if None.
        include_test: Whether images of test are shown and measured, too.
    """
    folder = root / archive.FOLDER
    hashes = archive.hash_images(folder) if hashes is None else hashes
    counted = census.read(root, hashes, include_test=include_test)
    shown = counted.shown_images
    every = -(-len(shown) // _MOST_MEASURED) or 1
    measured = brightness.measure(folder, shown[::every])
    stages = dict(_STAGES)
    if counted.record.get("screen", {}).get("inputs", {}).get("screen") == SCREENS[-1]:
        stages["screen"] = ("can be decoded", _STAGES["screen"][1])
    page_images = galleries.PageImages(root)
    text = template.render(
        "analysis/dataset/exploration.html.j2",
        title=f"{len(counted.images):,} images",
        census=counted,
        splits=SPLITS,
        bins=charts.BINS,
        stages=stages,
        every=every,
        measured=len(measured.paths),
        missing=[stage for stage in prepare.STAGES if stage not in counted.stages],
        faces=_mean_faces(counted, measured),
        key=_key_numbers(counted),
        bars=_make_bars(counted),
        table=_make_table(counted),
        samples=galleries.draw_samples(page_images, counted, seed),
        light_charts=_make_light_charts(counted, measured),
        extremes=galleries.find_extremes(page_images, counted, measured),
        detector=_make_detector_chart(counted),
        removed=cleaning.compute_removed(counted),
        leaks=cleaning.compute_leaks(counted),
        left_out=galleries.make_left_out_galleries(page_images, counted, seed),
        fates=cleaning.fate_styles(),
        seed=seed,
        digest=_digest(root) if counted.rows else None,
    )
    path = path or root / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _key_numbers(counted: Census) -> dict[str, Any]:
    """Returns the numbers at the head of the page."""
    kept = sum(row.fate == ledger.KEPT for row in counted.rows)
    key: dict[str, Any] = {"images": len(counted.images), "kept": kept}
    key["left_out"] = len(counted.rows) - kept
    if "dedupe" in counted.stages:
        before, after = counted.leaks()
        validation_images = sum(row.split == "validation" for row in counted.rows)
        leaked = sum(before["validation in train"]["same dHash"].values())
        key["leaked"] = leaked
        key["leaked_share"] = leaked / max(validation_images, 1)
        key["leaked_after"] = sum(after["validation in train"]["same dHash"].values())
    return key


def _mean_faces(counted: Census, measured: brightness.ImageMeasures) -> list[dict[str, Any]]:
    """Returns each class's mean face, and its difference from the mean apart from brightness."""
    rows = []
    means = measured.mean_faces
    overall = np.mean(list(means.values()), axis=0) if means else np.zeros((brightness.SIDE,) * 2)
    counts = collections.Counter(path.split("/")[1] for path in counted.shown_images)
    for label in counted.classes:
        row: dict[str, Any] = {"label": label, "count": counts[label], "face": None}
        row["share"] = counts[label] / max(counts.total(), 1)
        if label in means:
            row["face"] = _enlarge(np.round(means[label]).astype(np.uint8))
            difference = means[label] - overall
            difference = (difference - difference.mean()) / _FULL_DIFFERENCE
            row["light"] = _colour_difference(difference, palette.LIGHT)
            row["dark"] = _colour_difference(difference, palette.DARK)
        rows.append(row)
    return rows


def _colour_difference(difference: np.ndarray, theme: palette.Theme) -> str:
    """Colours a difference from -1 (darker, blue) to 1 (brighter, orange); 0 is the paper's."""
    colours = [theme.first, theme.paper, theme.second]
    colormap = LinearSegmentedColormap.from_list("difference", colours)
    return _enlarge((colormap((difference + 1) / 2)[..., :3] * 255).round().astype(np.uint8))


def _enlarge(pixels: np.ndarray) -> str:
    side = _ENLARGED * brightness.SIDE
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return template.png_uri(template.encode_png(picture))


def _make_bars(counted: Census) -> list[dict[str, Any]]:
    """Counts what remains of each split and class after each stage, as shares of the largest."""
    counts = {stage: counted.count_images(stage) for stage in counted.stages}
    last = counts[counted.stages[-1]]
    rows = []
    for split in SPLITS:
        largest = max(1, *counts["unpack"][split].values())
        total = sum(last[split].values())
        bars = [
            {
                "label": label,
                "parts": [
                    {
                        "stage": stage,
                        "count": numbers[split][label],
                        "width": 100 * numbers[split][label] / largest,
                    }
                    for stage, numbers in counts.items()
                ],
                "share": last[split][label] / total if total else None,
            }
            for label in counted.classes
        ]
        rows.append({"split": split, "total": total, "bars": bars})
    return rows


def _make_table(counted: Census) -> list[dict[str, Any]]:
    """Lists (count here, original count) after each stage, per split, with its sum, and class."""
    both = [
        (counted.count_images(stage), counted.published_counts(stage)) for stage in counted.stages
    ]

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


def _make_light_charts(counted: Census, measured: brightness.ImageMeasures) -> list[dict[str, Any]]:
    """Computes the distributions of brightness and contrast per class."""
    labels = np.array([path.split("/")[1] for path in measured.paths])
    result = []
    for title, unit, values, scale in (
        ("Brightness", "mean grey level, 0 black to 255 white", measured.brightness, _BRIGHTNESS),
        ("Contrast", "standard deviation of the grey levels", measured.contrast, _CONTRAST),
    ):
        by_class = {label: values[labels == label] for label in counted.classes}
        rows, overall = charts.make_ridges(by_class, scale)
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


def _make_detector_chart(counted: Census) -> dict[str, Any] | None:
    """Computes the distribution of the detector's confidence per class; None without any."""
    if "screen" not in counted.stages:
        return None
    rows = [row for row in counted.shown_rows if row.face_confidence is not None]
    if not rows:
        return None
    values = {
        label: np.array([row.face_confidence for row in rows if row.label == label], float)
        for label in counted.classes
    }
    ridges, overall = charts.make_ridges(values, _CONFIDENCE)
    below = {label: int((array <= counted.threshold).sum()) for label, array in values.items()}
    return {
        "title": "Confidence of the best face",
        "unit": "0 to 1, on a log-odds scale",
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

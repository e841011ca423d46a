"""Chooses images for a page: samples, extremes, and images left out with their duplicates."""

import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from faceemo.analysis.dataset import brightness
from faceemo.analysis.dataset.census import Census
from faceemo.analysis.theme import template
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure.decode import decode
from faceemo.data.source import archive
from faceemo.errors import escape_name

RANDOM_IMAGES = 12  # per class and split
IMAGES_PER_FATE = 24
LARGEST_GROUPS, GROUPS_PER_CLASS = 4, 3  # groups of duplicates: the largest, then random ones
IMAGES_PER_GROUP = 6
EXTREMES = 8

_FATES_OF_GROUPS = (ledger.DUPLICATE, ledger.CONFLICT)

# source (None if it cannot be decoded), path, name, split, label, note
PageImage = dict[str, Any]


class PageImages:
    """Loads a dataset's originals for a page."""

    def __init__(self, root: Path):
        self._folder = root / archive.FOLDER

    def load(self, path: str, note: str = "") -> PageImage:
        """Loads the image at `path` below the originals, with its caption on the page."""
        pixels = decode((self._folder / path).read_bytes()).pixels
        split, label, _ = path.split("/")
        return {
            "source": None if pixels is None else template.image_uri(pixels.as_shown()),
            "path": escape_name(path),
            "name": escape_name(PurePosixPath(path).name),
            "split": split,
            "label": label,
            "note": escape_name(note),
        }


def draw_samples(page_images: PageImages, census: Census, seed: int) -> list[dict[str, Any]]:
    """Draws random images of every class and split, each independent of the others."""
    rows = []
    for label in census.classes:
        blocks = []
        for split in census.shown_splits:
            paths = [path for path in census.images if path.startswith(f"{split}/{label}/")]
            chosen = _draw(paths, RANDOM_IMAGES, f"{seed} {split} {label}")
            shown = [page_images.load(path) for path in chosen]
            blocks.append({"split": split, "count": len(paths), "images": shown})
        rows.append({"label": label, "blocks": blocks})
    return rows


def find_extremes(
    page_images: PageImages, census: Census, measured: brightness.ImageMeasures
) -> list[dict[str, Any]]:
    """Finds the darkest and brightest images and those of least contrast, most extreme first."""
    fates = {row.path: row.fate for row in census.rows}
    rows = []
    for title, values, form in (
        ("darkest", measured.brightness, "mean {:.0f}"),
        ("brightest", -measured.brightness, "mean {:.0f}"),
        ("least contrast", measured.contrast, "deviation {:.1f}"),
    ):
        order = np.argsort(values, kind="stable")  # NaN last
        shown = [int(i) for i in order[:EXTREMES] if np.isfinite(values[i])]
        images = [
            page_images.load(measured.paths[i], form.format(abs(float(values[i])))) for i in shown
        ]
        for index, image in zip(shown, images, strict=True):
            image["fate"] = fates.get(measured.paths[index])
        rows.append({"title": title, "images": images})
    return rows


def make_left_out_galleries(
    page_images: PageImages, census: Census, seed: int
) -> list[dict[str, Any]]:
    """Makes a gallery per reason for leaving images out: groups of duplicates, or single images."""
    galleries = []
    for fate in ledger.FATES:
        count = sum(row.fate == fate for row in census.rows)
        if fate == ledger.KEPT or not count:
            continue
        rows = [row for row in census.shown_rows if row.fate == fate]
        gallery: dict[str, Any] = {"fate": fate, "count": count, "groups": [], "images": []}
        groups = census.groups(fate) if fate in _FATES_OF_GROUPS else []
        if groups:
            chosen = _choose_groups(groups, census.classes, f"{seed} {fate}")
            gallery["of"] = len(groups)
            gallery["largest"] = max(map(len, groups))
            gallery["across"] = sum(len({row.split for row in group}) > 1 for group in groups)
            gallery["groups"] = [
                _make_group(page_images, group, census.shown_splits) for group in chosen
            ]
        else:
            chosen_rows = _draw(rows, IMAGES_PER_FATE, f"{seed} {fate}")
            # the most doubtful first
            chosen_rows.sort(key=lambda row: (-(row.face_confidence or 0), row.path))
            gallery["of"] = count
            gallery["images"] = [page_images.load(row.path, _note(row)) for row in chosen_rows]
        galleries.append(gallery)
    return galleries


def _make_group(
    page_images: PageImages, members: Sequence[Row], splits: Sequence[str]
) -> dict[str, Any]:
    """Loads the first images of a group that are of `splits`, and counts the others."""
    shown = [row for row in members if row.split in splits][:IMAGES_PER_GROUP]
    return {
        "images": [
            {**page_images.load(row.path), "kept": row.fate == ledger.KEPT} for row in shown
        ],
        "more": len(members) - len(shown),
    }


def _choose_groups(
    groups: Sequence[list[Row]], classes: Sequence[str], seed: str
) -> list[list[Row]]:
    """Chooses the largest groups, then others of each class at random."""
    by_size = sorted(groups, key=len, reverse=True)  # stable: groups of equal size stay in order
    largest, rest = by_size[:LARGEST_GROUPS], by_size[LARGEST_GROUPS:]
    others = [
        group
        for label in classes
        for group in _draw(
            [group for group in rest if group[0].label == label],
            GROUPS_PER_CLASS,
            f"{seed} {label}",
        )
    ]
    return [*largest, *others]


def _note(row: Row) -> str:
    """Returns the caption of an image that was left out."""
    if row.fate == ledger.NO_FACE and row.face_confidence is not None:
        return f"{row.face_confidence:.3f}"
    return row.reason


def _draw(items: Sequence[Any], count: int, seed: str) -> list[Any]:
    """Draws at most `count` of the items at random, and keeps their order."""
    chosen = random.Random(seed).sample(range(len(items)), min(count, len(items)))
    return [items[index] for index in sorted(chosen)]

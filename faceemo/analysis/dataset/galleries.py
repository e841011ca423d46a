"""Images for a page: drawn at random, the extremes, and those left out beside what they repeat."""

import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from faceemo.analysis.dataset import brightness
from faceemo.analysis.dataset.census import Census
from faceemo.analysis.theme import template
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.source import archive

SAMPLES = 12  # random images per class and split
SINGLES = 24  # images shown per fate
LARGEST, OTHERS = 4, 3  # groups of duplicates shown: of all, and of each class
MEMBERS = 6  # images shown of a group
EXTREMES = 8

_OF_GROUPS = (ledger.DUPLICATE, ledger.CONFLICT)

Picture = dict[str, Any]  # source (None if it does not decode), path, name, split, label, note


class Album:
    """Makes pictures for a page out of a dataset's originals."""

    def __init__(self, root: Path):
        self._folder = root / archive.FOLDER

    def picture(self, path: str, note: str = "") -> Picture:
        """The image at `path` below the originals, with what the page says of it."""
        pixels = brightness.read(self._folder / path)
        split, label, _ = path.split("/")
        return {
            "source": None if pixels is None else template.face(pixels),
            "path": path,
            "name": PurePosixPath(path).name,
            "split": split,
            "label": label,
            "note": note,
        }


def samples(album: Album, census: Census, seed: int) -> list[dict[str, Any]]:
    """Random images of every class and split; the choice in one does not depend on the others."""
    rows = []
    for label in census.classes:
        blocks = []
        for split in SPLITS:
            paths = [path for path in census.images if path.startswith(f"{split}/{label}/")]
            chosen = _draw(paths, SAMPLES, f"{seed} {split} {label}")
            shown = [album.picture(path) for path in chosen]
            blocks.append({"split": split, "count": len(paths), "images": shown})
        rows.append({"label": label, "blocks": blocks})
    return rows


def extremes(album: Album, census: Census, measured: brightness.Looks) -> list[dict[str, Any]]:
    """The darkest, the brightest and the flattest images, the most extreme first."""
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
            album.picture(measured.paths[i], form.format(abs(float(values[i])))) for i in shown
        ]
        for image in images:
            image["fate"] = fates.get(image["path"])
        rows.append({"title": title, "images": images})
    return rows


def left_out(album: Album, census: Census, seed: int) -> list[dict[str, Any]]:
    """A gallery per fate that befell an image: groups where it has any, else single images."""
    galleries = []
    for fate in ledger.FATES:
        rows = [row for row in census.rows if row.fate == fate]
        if fate == ledger.KEPT or not rows:
            continue
        gallery: dict[str, Any] = {"fate": fate, "count": len(rows), "groups": [], "images": []}
        groups = census.groups(fate) if fate in _OF_GROUPS else []
        if groups:
            chosen = _some_groups(groups, census.classes, f"{seed} {fate}")
            gallery["of"] = len(groups)
            gallery["largest"] = max(map(len, groups))
            gallery["across"] = sum(len({row.split for row in group}) > 1 for group in groups)
            gallery["groups"] = [_group(album, group) for group in chosen]
        else:
            chosen_rows = _draw(rows, SINGLES, f"{seed} {fate}")
            # from the doubtful to the plain
            chosen_rows.sort(key=lambda row: (-(row.face_confidence or 0), row.path))
            gallery["of"] = len(rows)
            gallery["images"] = [album.picture(row.path, _note(row)) for row in chosen_rows]
        galleries.append(gallery)
    return galleries


def _group(album: Album, members: Sequence[Row]) -> dict[str, Any]:
    shown = members[:MEMBERS]
    return {
        "images": [
            {**album.picture(row.path), "kept": row.fate == ledger.KEPT, "reason": row.reason}
            for row in shown
        ],
        "more": len(members) - len(shown),
    }


def _some_groups(groups: Sequence[list[Row]], classes: Sequence[str], seed: str) -> list[list[Row]]:
    """The largest groups, then others of each class drawn at random."""
    by_size = sorted(groups, key=len, reverse=True)  # stable: equal ones by their first member
    largest, rest = by_size[:LARGEST], by_size[LARGEST:]
    others = [
        group
        for label in classes
        for group in _draw(
            [group for group in rest if group[0].label == label], OTHERS, f"{seed} {label}"
        )
    ]
    return [*largest, *others]


def _note(row: Row) -> str:
    """What the caption of an image that was left out says."""
    if row.fate == ledger.NO_FACE and row.face_confidence is not None:
        return f"{row.face_confidence:.3f}"
    return row.reason


def _draw(items: Sequence[Any], count: int, seed: str) -> list[Any]:
    """At most `count` of the items at random, in their order."""
    chosen = random.Random(seed).sample(range(len(items)), min(count, len(items)))
    return [items[index] for index in sorted(chosen)]

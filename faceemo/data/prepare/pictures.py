"""Draws pictures of the preparation from the ledger and the originals.

Nothing is said by colour alone: words and numbers are next to the things that they describe.
"""

import collections
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import row_sort_key
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import STRICT, Rules
from faceemo.data.measure.decode import decode_file
from faceemo.data.prepare.sheet import (
    BLUE,
    DPI,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    Sheet,
    save_figure,
)
from faceemo.data.sample import sample
from faceemo.data.source import archive

FATES = {  # colour and name of each fate, in the order of the stacked bars
    ledger.KEPT: (BLUE, "kept"),
    ledger.DUPLICATE: (ORANGE, "duplicate"),
    ledger.CONFLICT: (PURPLE, "conflicting labels"),
    ledger.NO_FACE: (VERMILION, "no face"),
    ledger.UNREADABLE: (INK, "unreadable"),
    ledger.SUSPECT: (GREEN, "suspect label"),
    ledger.NO_MAJORITY: (SKY, "no majority"),
}
_MAX_GROUPS = 60
_MAX_MEMBERS = 6
_LONGEST_NAME = 15  # characters that fit beside a confidence


def draw_faces(root: Path, rows: Sequence[Row], path: Path) -> None:
    """Draws the detector's boxes and confidences in images with and without a face.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged.
        path: Path of the PNG.
    """
    decoded = sorted(
        (row for row in rows if row.face_confidence is not None),
        key=lambda row: (-(row.face_confidence or 0), row.path),
    )
    kept = [row for row in decoded if row.has_face]
    rejected = [row for row in decoded if not row.has_face]
    across, apart, down = 10, 1.12, 1.5  # images per line; distance to the next image and line
    closest = 2 * across
    sections = [
        (
            f"{len(kept):,} images with a face",
            f"{across} of them, evenly spaced from the most to the least confident",
            _choose_evenly(kept, across),
            BLUE,
        ),
        (
            "Just above the threshold",
            f"the {min(closest, len(kept))} with the least confidence above the threshold",
            kept[-closest:],
            BLUE,
        ),
        (
            f"{len(rejected):,} images without a face",
            f"{min(4 * across, len(rejected))} of them, from the most to the least confident",
            _choose_evenly(rejected, 4 * across),
            VERMILION,
        ),
    ]
    sections = [section for section in sections if section[2]]

    def height_of(section: tuple[str, str, list[Row], str]) -> float:
        return 0.95 + down * -(-len(section[2]) // across)

    sheet = Sheet(
        "What the face detector sees",
        (
            "res10 SSD: box and confidence of the best detection in each image"
            if decoded
            else "No image was searched for faces"
        )
        + _sample_note(root),
        width=across * apart - 0.12,
        height=max(0, sum(map(height_of, sections)) - 0.25),
    )
    y = 0.0
    for title, subtitle, shown, colour in sections:
        sheet.add_text(0, y + 0.2, title, size=12, color=colour, weight="bold")
        sheet.add_text(0, y + 0.45, subtitle)
        for index, row in enumerate(shown):
            left, top = index % across * apart, y + 0.62 + index // across * down
            sheet.add_image(_read_pixels(root, row.path), left, top, row.face_box, colour)
            confidence = f"{row.face_confidence:.3f}"
            name = PurePosixPath(row.path).stem
            name = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
            sheet.add_text(left, top + 1.17, confidence, size=9, color=INK, weight="bold")
            sheet.add_text(left + 1, top + 1.17, name, size=6.5, ha="right")
            sheet.add_text(left, top + 1.31, f"{row.label}, {row.split}", size=6.5)
        y += height_of((title, subtitle, shown, colour))
    sheet.save(path)


def draw_fates(root: Path, rows: Sequence[Row], path: Path) -> None:
    """Draws how many images of each class and split are kept (left) and left out (right).

    The right side has a larger scale, the same for all splits, as only a few percent are left out.

    Args:
        root: The dataset's folder.
        rows: The ledger's rows, judged.
        path: Path of the PNG.
    """
    counts = collections.Counter((row.split, row.label, row.fate) for row in rows)
    totals = collections.Counter((row.split, row.label) for row in rows)
    figure = Figure(figsize=(13.2, 7.4), dpi=DPI)
    classes = ledger.list_classes(rows)
    out = sum(row.fate != ledger.KEPT for row in rows)
    summary = f"{len(rows) - out:,} of {len(rows):,} images are kept, {out:,} are left out"
    summary += _sample_note(root)
    figure.text(0.03, 0.945, "What became of the images", size=16, weight="bold", color=INK)
    figure.text(0.03, 0.905, summary, size=10, color=GREY)
    margins = {"left": 0.12, "right": 0.97, "top": 0.79, "bottom": 0.03}
    sides = {"hspace": 0.32, "wspace": 0.06, "width_ratios": (1, 1.25)}
    grid = figure.add_gridspec(len(SPLITS), 2, **margins, **sides)
    lost: list[tuple[Axes, Annotation]] = []
    for line, split in enumerate(SPLITS):
        kept_axes, lost_axes = (figure.add_subplot(grid[line, side]) for side in (0, 1))
        for axes in (kept_axes, lost_axes):
            _set_up_bars(axes, len(classes))
        figure.text(0.03, kept_axes.get_position().y1 + 0.012, split, weight="bold", color=INK)
        for y, label in enumerate(classes):
            of_class = {fate: counts[split, label, fate] for fate in FATES}
            total = max(totals[split, label], 1)
            style = {"size": 10, "va": "center", "ha": "right", "color": INK}
            kept_axes.text(-0.02, y, label, parse_math=False, **style)
            _draw_kept(kept_axes, y, of_class[ledger.KEPT], total)
            lost.append((lost_axes, _draw_left_out(lost_axes, y, of_class, total)))
    widest = max(0.02, *(_measure(axes, words) for axes, words in lost))
    for axes, _ in lost:
        axes.set_xlim(0, widest)
    left, right = (grid[0, side].get_position(figure).x0 for side in (0, 1))
    scale = "as a share of the class"
    if (times := round(1.25 / widest)) > 1:
        scale += f", drawn {times} times as wide as on the left"
    figure.text(left, 0.85, "Kept", size=11, weight="bold", color=BLUE)
    figure.text(right, 0.85, "Left out", size=11, weight="bold", color=INK)
    figure.text(right + 0.075, 0.85, scale, size=8.5, color=GREY)
    for fate, (colour, name) in FATES.items():
        if fate != ledger.KEPT and any(row.fate == fate for row in rows):
            figure.text(right, 0.82, "■", size=10, color=colour)
            shown = figure.text(right + 0.014, 0.82, name, size=9, color=INK)
            right = shown.get_window_extent().x1 / figure.bbox.x1 + 0.012
    save_figure(figure, path)


def draw_conflicts(root: Path, rows: Sequence[Row], rules: Rules, path: Path) -> None:
    """Draws the groups of duplicates whose labels disagree, without their test images, which stay.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged by `rules`.
        rules: Rules, whose policy decides which groups' labels are compared.
        path: Path of the PNG.
    """
    groups = collections.defaultdict(list)
    for row in rows:
        if row.fate == ledger.CONFLICT:
            groups[row.near_group if rules.policy == STRICT else row.duplicate_group].append(row)
    members = [sorted(group, key=lambda row: row_sort_key(row.path)) for group in groups.values()]
    members.sort(key=lambda group: row_sort_key(group[0].path))
    shown = members[:_MAX_GROUPS]
    width, gap, step = 12.0, 0.3, 1.75
    places, x, y, used = [], 0.0, 0.0, 6.5  # at least as wide as the title
    for group in shown:
        length = min(len(group), _MAX_MEMBERS) * 1.08
        if x + length > width:
            x, y = 0.0, y + step
        places.append((x, y))
        x += length + gap
        used = max(used, x - gap)
    images = sum(map(len, members))
    count = f"{len(members):,} groups, {images:,} images"
    if len(shown) < len(members):
        count += f"; shown: the first {len(shown)}"
    sheet = Sheet(
        "Duplicates with different labels",
        (
            f"{count}. Their labels cannot be trusted, so they are left out"
            if members
            else "No group of duplicates has conflicting labels"
        )
        + _sample_note(root),
        width=used,
        height=y + step - 0.2 if shown else 0.0,
    )
    for (x, y), group in zip(places, shown, strict=True):
        length = min(len(group), _MAX_MEMBERS) * 1.08
        sheet.add_panel(x - 0.06, y, length + 0.04, step - 0.2)
        for index, row in enumerate(group[:_MAX_MEMBERS]):
            left = x + index * 1.08
            sheet.add_image(_read_pixels(root, row.path), left, y + 0.06)
            sheet.add_text(left, y + 1.24, row.label, size=9, color=INK, weight="bold")
            sheet.add_text(left, y + 1.42, f"{row.split}/{PurePosixPath(row.path).name}", size=6)
        if len(group) > _MAX_MEMBERS:
            more = f"+{len(group) - _MAX_MEMBERS}"
            sheet.add_text(x + length, y + 0.2, more, size=9, color=VERMILION, ha="right")
    sheet.save(path)


def draw_samples(
    folder: Path, images: Iterable[str], seed: int, path: Path, splits: Sequence[str] = SPLITS
) -> None:
    """Draws random images of every class and split, the same ones for the same seed.

    Args:
        folder: Folder that holds <split>/<class>/<image>.
        images: Paths of the images below `folder`, in an order that does not change.
        seed: Seed of the choice.
        path: Path of the PNG.
        splits: Splits whose images are drawn.
    """
    images = [name for name in images if name.split("/")[0] in splits]
    classes = sorted({name.split("/")[1] for name in images})
    across, down, gap = 6, 2, 0.5
    block = across * 1.04
    sheet = Sheet(
        "The images, as they come",
        f"{len(images):,} in all; random ones of each class and split (seed {seed})"
        + _sample_note(folder.parent),
        width=len(splits) * (block + gap) - gap + 1.6,
        height=len(classes) * (down * 1.04 + 0.75) + 0.1,
    )
    generator = random.Random(seed)
    for row, label in enumerate(classes):
        top = row * (down * 1.04 + 0.75) + 0.5
        sheet.add_text(0, top + 0.6, label, size=12, color=INK, weight="bold")
        for column, split in enumerate(splits):
            left = 1.6 + column * (block + gap)
            names = [name for name in images if name.startswith(f"{split}/{label}/")]
            sheet.add_text(left, top - 0.12, f"{split}  ", size=9, color=INK, weight="bold")
            sheet.add_text(
                left + block - 0.04, top - 0.12, f"{len(names):,} images", size=8, ha="right"
            )
            for index, name in enumerate(generator.sample(names, min(len(names), across * down))):
                pixels = decode_file(folder / name).pixels
                if pixels is None:  # screening reports it
                    continue
                x, y = index % across * 1.04, index // across * 1.04
                sheet.add_image(pixels.bgr[..., ::-1], left + x, top + y)
    sheet.save(path)


def _sample_note(root: Path) -> str:
    """Returns a note that the images are drawn; it is empty unless `root` holds the sample."""
    return f"; {sample.SOURCE}" if (root / sample.MANIFEST_NAME).exists() else ""


def _read_pixels(root: Path, path: str) -> np.ndarray:
    """Reads an original as RGB, uint8 [H, W, 3]; black if it cannot be decoded."""
    pixels = decode_file(root / archive.FOLDER / path).pixels
    return pixels.bgr[..., ::-1] if pixels else np.zeros((48, 48, 3), np.uint8)


def _set_up_bars(axes: Axes, classes: int) -> None:
    """Removes the axis lines and leaves room for one bar per class, up to the whole class."""
    axes.set_xlim(0, 1)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.axis("off")


def _draw_kept(axes: Axes, y: int, kept: int, total: int) -> None:
    """Draws the bar of the kept images of one class."""
    share = kept / total
    axes.barh(y, 1, 0.7, color=PALE)
    axes.barh(y, share, 0.7, color=BLUE)
    if share > 0.5:
        style = {"size": 9.5, "va": "center", "color": "white"}
        axes.text(0.015, y, f"{kept:,}", weight="bold", **style)
        axes.text(share - 0.015, y, f"{share:.1%}", ha="right", **style)
    else:
        axes.text(share + 0.015, y, f"{kept:,}   {share:.1%}", size=9.5, va="center", color=INK)


def _draw_left_out(axes: Axes, y: int, counts: Mapping[str, int], total: int) -> Annotation:
    """Draws the stacked bar of one class's images that are left out; returns its words."""
    start, words = 0.0, []
    for fate, (colour, name) in FATES.items():
        if fate != ledger.KEPT and counts[fate]:
            axes.barh(y, counts[fate] / total, 0.7, left=start, color=colour)
            start += counts[fate] / total
            words.append(f"{name} {counts[fate]:,}")
    return axes.annotate(
        " · ".join(words) or "none",
        *((start, y), (4, 0)),
        textcoords="offset points",
        size=8.5,
        va="center",
        color=GREY,
    )


def _measure(axes: Axes, words: Annotation) -> float:
    """Returns how much of a class the axes must span so that the words end within them."""
    taken = (words.get_window_extent().width + 6 * DPI / 72) / axes.get_window_extent().width
    return words.xy[0] / max(1 - taken, 0.1)


def _choose_evenly(rows: Sequence[Row], count: int) -> list[Row]:
    """Returns `count` of the rows at even distances, including the first and the last."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (count - 1))] for index in range(count)]

"""Draws the leaks between the splits: their shares per class, and pairs of images."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faceemo.data.ledger import leaks, ledger
from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure.decode import decode_file
from faceemo.data.prepare.sheet import BLUE, DPI, GREY, INK, ORANGE, PALE, save_figure
from faceemo.data.source import archive
from faceemo.errors import escape_name

_COLUMNS, _LINES = 6, 4  # of pairs


def draw_leaks(root: Path, rows: Sequence[Row], rules: Rules, path: Path) -> None:
    """Draws the leaks before and after de-duplication, and pairs of images across two splits.

    Args:
        root: The dataset's folder, which holds Facial_emotion_images.
        rows: The ledger's rows, judged by `rules`.
        rules: Rules, which define near duplicates.
        path: Path of the PNG.
    """
    kept = [row for row in rows if row.fate == ledger.KEPT]
    before, after = leaks.count_leaks(rows, rules), leaks.count_leaks(kept, rules)
    remaining, removed = _find_examples(kept, rules), _find_examples(rows, rules)
    shown = (remaining + [pair for pair in removed if pair not in remaining])[: _COLUMNS * _LINES]
    figure = Figure(figsize=(12, 5.2 + 1.5 * -(-len(shown) // _COLUMNS)), dpi=DPI)
    high = figure.get_figheight()
    figure.text(
        0.03,
        1 - 0.45 / high,
        "Images of one split that occur in another",
        size=16,
        color=INK,
        weight="bold",
    )
    figure.text(
        0.03,
        1 - 0.75 / high,
        "matched by bytes, pixels, dHash, near duplicate or mirror image (dHash up to "
        f"{rules.near_distance} bits apart, similarity from {rules.near_similarity:g}); policy "
        f"'{rules.policy}'",
        size=10,
        color=GREY,
    )
    for number, (pair, (searched, _)) in enumerate(leaks.SPLIT_PAIRS.items()):
        axes = figure.add_axes((0.1 + 0.305 * number, 1 - 4.2 / high, 0.27, 2.7 / high))
        totals = ledger.count_by_split(rows).get(searched, {})
        _draw_bars(
            axes,
            pair,
            totals,
            before[pair][leaks.ANY_KIND],
            after[pair][leaks.ANY_KIND],
            number == 0,
        )
    for x, colour, words in ((0.1, ORANGE, "before"), (0.19, BLUE, "after de-duplication")):
        figure.text(x, 1 - 1.18 / high, "■", color=colour, size=11)
        figure.text(x + 0.018, 1 - 1.18 / high, words, color=INK, size=10)
    title = "No image of one split occurs in another"
    if shown:
        title = (
            f"{len(removed):,} images had a duplicate in another split, {len(remaining):,} still "
            f"have; {len(shown)} examples, remaining ones first"
        )
    figure.text(0.03, 1 - 4.75 / high, title, size=12, color=INK, weight="bold")
    for index, pair in enumerate(shown):
        x = 0.03 + index % _COLUMNS * 0.161
        y = 1 - (5.95 + index // _COLUMNS * 1.5) / high
        _draw_pair(figure, root, pair, x, y, pair in remaining)
    save_figure(figure, path)


def _find_examples(rows: Sequence[Row], rules: Rules) -> list[tuple[str, str, str]]:
    """Finds each image with a twin in another split: (path, path of the best twin, kind of match).

    The kind is in words, for example 'same dHash'.
    """
    twins = Twins(rows, rules)
    found = []
    for row in rows:
        others = {other for searched, other in leaks.SPLIT_PAIRS.values() if searched == row.split}
        if not any(twins.other_splits(row, kind) & others for kind in KINDS):
            continue
        twin, place = next(
            (twin, place) for twin, place in twins.matches(row) if twin.split in others
        )
        if twin.pixels_sha256 == row.pixels_sha256:
            kind = "same pixels"
        elif place.similarity is None:
            kind = "same dHash"
        else:
            bits = "1 bit" if place.distance == 1 else f"{place.distance} bits"
            kind = f"{'mirror, ' if place.mirrored else ''}{bits}, {place.similarity:.2f}"
        found.append((row.path, twin.path, kind))
    # the most doubtful first: pairs with equal pixels need no second look
    return sorted(found, key=lambda pair: (pair[2] == "same pixels", pair[0]))


def _draw_bars(
    axes: Axes,
    title: str,
    totals: dict[str, int],
    before: dict[str, int],
    after: dict[str, int],
    show_labels: bool,
) -> None:
    """Draws, for each class, the share of a split's images that leak before and after."""
    axes.set_title(title, size=11, weight="bold", color=INK, loc="left")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(before) - 0.4, -0.6)
    axes.axis("off")
    for y, label in enumerate(before):
        total = max(totals.get(label, 0), 1)
        remaining = after.get(label, 0)  # `after` lacks classes of which no image is kept
        for offset, count, colour in ((-0.2, before[label], ORANGE), (0.2, remaining, BLUE)):
            axes.barh(y + offset, 1, 0.34, color=PALE)
            axes.barh(y + offset, count / total, 0.34, color=colour)
            words = f"{count:,}   {count / total:.1%}" if count else "none"
            axes.text(count / total + 0.015, y + offset, words, size=8.5, va="center", color=INK)
        if show_labels:
            style = {"size": 10, "va": "center", "ha": "right", "color": INK}
            axes.text(-0.03, y, label, parse_math=False, **style)


def _draw_pair(
    figure: Figure, root: Path, pair: tuple[str, str, str], x: float, y: float, remains: bool
) -> None:
    """Draws two images side by side at (x, y), with their paths and the kind of match."""
    high, wide = figure.get_figheight(), figure.get_figwidth()
    for place, name in enumerate(pair[:2]):
        axes = figure.add_axes((x + place * 0.95 / wide, y, 0.9 / wide, 0.9 / high))
        pixels = decode_file(root / archive.FOLDER / name).pixels
        axes.imshow(pixels.as_shown() if pixels else np.zeros((1, 1)), cmap="gray")
        axes.axis("off")
        split, label, _ = name.split("/")
        words = f"{split}\n{label} {escape_name(PurePosixPath(name).stem)[:12]}"
        style = {"size": 6.5, "va": "top", "color": GREY, "parse_math": False}
        figure.text(x + place * 0.95 / wide, y - 0.04 / high, words, **style)
    title = f"{pair[2]}{', remains' if remains else ''}"
    figure.text(x, y + 0.94 / high, title, size=8, color=INK, weight="bold" if remains else None)

"""The study in pictures: what the variants are, and how each does."""

import itertools
import textwrap
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from faceemo.analysis.theme import style
from faceemo.config import ARCHS, VARIANTS
from faceemo.errors import UserError
from faceemo.experiments import run_settings
from faceemo.experiments.leaderboard import Row, told_once

NAMES = {
    "vgg16": "VGG16",
    "resnet50v2": "ResNet50V2",
    "efficientnetb0": "EfficientNetB0",
    "mobilenet": "MobileNet",
}
# Validation accuracy of variants 0 to 11 as the original study published it, on its own images; its
# "ResNet50V2" was ResNet50 V1.
PUBLISHED: dict[str, tuple[float, ...]] = {
    "vgg16": (.670, .687, .753, .366, .366, .366, .366, .77, .768, .778, .770, .750),
    "resnet50v2": (.406, .367, .576, .367, .369, .366, .366, .665, .763, .759, .229, .295),
    "efficientnetb0": (.366, .366, .366, .249, .229, .366, .249, .249, .412, .763, .259, .358),
}  # fmt: skip
_COLUMNS = (
    *("variant", "augmentation", "learning rate", "unfrozen\nblocks"),
    *("extra\ndense layer", "batch", "class\nweights"),
)


def versions(theme: style.Theme = style.LIGHT) -> Figure:
    """The variants as a table; what changed from the one before is in bold."""
    cells = [
        (
            str(number),
            variant.augmentation,
            f"{variant.learning_rate:.0e}".replace("e-0", "e-"),
            variant.unfreeze,
            "yes" if variant.extra_dense else "no",
            str(variant.batch_size),
            variant.class_weights,
        )
        for number, variant in enumerate(VARIANTS)
    ]
    places = np.array([0.4, 1.3, 2.5, 3.6, 4.6, 5.6, 6.5])
    with style.applied(theme):
        drawn = style.figure(
            7.2, 4.6, theme, "The twelve variants of each model",
            "bold: what differs from the variant above it",
        )  # fmt: skip
        axes = drawn.subplots()
        for place, heading in zip(places, _COLUMNS, strict=True):
            axes.text(place, -0.75, heading, ha="center", va="bottom", color=theme.muted)
        axes.axhline(-0.6, color=theme.ink, linewidth=0.8)
        for number, row in enumerate(cells):
            for column, (place, text) in enumerate(zip(places, row, strict=True)):
                changed = min(column, number) > 0 and cells[number - 1][column] != text
                axes.text(
                    place, number, text, ha="center", va="center", fontsize=9,
                    weight="bold" if changed else "normal",
                    color=theme.first if changed else theme.ink,
                )  # fmt: skip
            if number:
                axes.axhline(number - 0.5, color=theme.faint, linewidth=0.6)
        axes.set_xlim(0, 7)
        axes.set_ylim(len(cells) - 0.4, -1.7)
        axes.set_axis_off()
    return drawn


def accuracies(
    rows: Sequence[Row], *, published: bool = False, theme: style.Theme = style.LIGHT
) -> Figure:
    """Validation accuracy of all runs as bars, training accuracy as marks, a panel per backbone.

    Of several seeds the mean stands as the bar and each run as a dot on it. Above the panels stands
    what all runs set, above each panel what not all do.

    Args:
        rows: of the sweep; those of variants 0 to 11 are drawn.
        published: whether the original's values stand beside them.
        theme: colours.

    Raises:
        UserError: if there are none of these, or runs of one variant differ in more than the seed.
    """
    rows = [row for row in rows if isinstance(row.variant, int)]
    if not rows:
        raise UserError(
            expected=f"runs of variants 0 to {len(VARIANTS) - 1}",
            found="none of them, though others",
            fix="train some with scripts/sweep.py --variants, or name their folder with --root",
        )
    _refuse_unlike(rows)
    shared, apart = told_once(rows)
    archs = [arch for arch in ARCHS if any(row.arch == arch for row in rows)]
    with style.applied(theme):
        drawn = style.figure(
            8.6, 1.3 + 2.1 * len(archs), theme, "Accuracy of the variants on validation",
            ", ".join(run_settings.split(shared))
            if any(row.changes for row in rows)
            else "the published settings",
        )  # fmt: skip
        panels = drawn.subplots(len(archs), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, arch in zip(panels, archs, strict=True):
            own = [row for row in apart if row.arch == arch]
            _panel(axes, own, PUBLISHED.get(arch) if published else None, theme)
            axes.set_title(NAMES[arch], loc="left", fontsize=9, color=theme.ink)
            axes.set_title(
                textwrap.fill(_by_variant(own), 100), loc="right", fontsize=8, color=theme.muted
            )
        panels[-1].set_xticks(range(len(VARIANTS)))
        panels[-1].set_xlabel("variant")
        drawn.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5,
            frameon=False, fontsize=7.5, handletextpad=0.4, columnspacing=1.2,
        )  # fmt: skip
    return drawn


def _refuse_unlike(rows: Sequence[Row]) -> None:
    for model in dict.fromkeys(row.model for row in rows):
        _, apart = told_once([row for row in rows if row.model == model])
        unlike = sorted({row.changes for row in apart})
        if len(unlike) > 1:
            raise UserError(
                expected=f"runs of {model} that differ in nothing but the seed",
                found=" beside ".join(text or "the variant's own" for text in unlike),
                fix="draw them apart: move one kind into another folder, and name it with --root",
            )


def _by_variant(rows: Sequence[Row]) -> str:
    """What the rows set, with the variants where not all do: 'weights=hed, epochs=3 (0–9, 11)'."""
    having: dict[str, set[int]] = {}
    for row in rows:
        for pair in run_settings.split(row.changes):
            having.setdefault(pair, set()).add(int(row.variant))
    every = {int(row.variant) for row in rows}
    return ", ".join(
        pair if variants == every else f"{pair} ({_ranges(sorted(variants))})"
        for pair, variants in sorted(having.items())
    )


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] as '0–2, 5'."""
    runs = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in ends)


def _panel(
    axes: Any, rows: Sequence[Row], published: Sequence[float] | None, theme: style.Theme
) -> None:
    """One backbone: bars with intervals, training marks, the majority, the published values."""
    places = [float(row.variant) for row in rows]
    means = {}
    for by_seed in run_settings.seeds(rows).values():
        (row, *_), *_ = by_seed.values()
        means[float(row.variant)] = fmean(run_settings.per_seed(by_seed, lambda row: row.accuracy))
    axes.bar(
        list(means), list(means.values()), 0.62, color=theme.first, label="validation", zorder=2
    )
    values = np.array([row.accuracy for row in rows])
    ends = np.array([[row.low for row in rows], [row.high for row in rows]])
    intervals = axes.errorbar(
        places, values, np.abs(ends - values), fmt=".", markersize=4, color=theme.ink,
        elinewidth=1.1, label="95% interval", zorder=3,
    )  # fmt: skip
    for lines in intervals[2]:  # not the dots, whose rims would cut them
        lines.set_path_effects(style.halo(theme, 1.1))
    axes.plot(
        places, [row.train_accuracy for row in rows], "_", color=theme.second, markersize=13,
        markeredgewidth=2.2, path_effects=style.halo(theme, 1.2), label="train", zorder=4,
    )  # fmt: skip
    if published is not None:
        axes.plot(
            range(len(published)), published, "D", markersize=4.5, markerfacecolor=theme.paper,
            markeredgecolor=theme.ink, label="published", zorder=4,
        )  # fmt: skip
    for number, majority in enumerate(sorted({row.majority for row in rows})):
        axes.axhline(
            majority, color=theme.ink, linewidth=1, linestyle="--", zorder=2.5,
            path_effects=style.halo(theme, 1), label="" if number else "majority class",
        )  # fmt: skip
    for place, mean in means.items():
        axes.text(
            place, 0.02, f"{mean:.3f}".removeprefix("0"), ha="center", va="bottom",
            fontsize=7, color=style.readable_on(theme.first), zorder=5,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(VARIANTS) - 0.4)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)

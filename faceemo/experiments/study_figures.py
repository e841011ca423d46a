"""Figures of the study: a table of the variants, and their accuracies."""

import itertools
import textwrap
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from faceemo.analysis.theme import palette, style
from faceemo.config import ARCHS, VARIANTS
from faceemo.config.backbones import BACKBONES
from faceemo.errors import UserError
from faceemo.experiments import run_settings
from faceemo.experiments.leaderboard import Row, extract_shared_changes

# Validation accuracy of variants 0 to 11 that the original study published, on its own images; its
# "ResNet50V2" was ResNet50 V1.
PUBLISHED: dict[str, tuple[float, ...]] = {
    "vgg16": (.670, .687, .753, .366, .366, .366, .366, .77, .768, .778, .770, .750),
    "resnet50v2": (.406, .367, .576, .367, .369, .366, .366, .665, .763, .759, .229, .295),
    "efficientnetb0": (.366, .366, .366, .249, .229, .366, .249, .249, .412, .763, .259, .358),
}  # fmt: skip
_HEADINGS = (
    *("variant", "augmentation", "learning rate", "unfrozen\nblocks"),
    *("extra\ndense layer", "batch", "class\nweights"),
)


def draw_variants(rows: Sequence[Row], theme: palette.Theme = palette.LIGHT) -> Figure:
    """Draws the variants that ran as a table, with each change from the one above in bold.

    Args:
        rows: Runs of the sweep; only those of variants 0 to 11 count.
        theme: Colours.

    Raises:
        UserError: If there is no such run.
    """
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
        for number, variant in ((number, VARIANTS[number]) for number in _list_variants(rows))
    ]
    height = 0.49 + 0.31 * (len(cells) + 1.3)
    title = "The twelve variants of each model" if len(cells) == len(VARIANTS) else "The variants"
    places = np.array([0.4, 1.3, 2.5, 3.6, 4.6, 5.6, 6.5])
    with style.use_theme(theme):
        drawn = style.make_figure(
            7.2, height, theme, title, "bold: different from the variant above",
        )  # fmt: skip
        axes = drawn.subplots()
        for place, heading in zip(places, _HEADINGS, strict=True):
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


def draw_accuracies(
    rows: Sequence[Row], *, published: bool = False, theme: palette.Theme = palette.LIGHT
) -> Figure:
    """Draws validation accuracy as bars and training accuracy as marks, one panel per backbone.

    A bar is the mean over seeds; each run is a dot on it. Only variants that ran have a place, the
    same one in each panel. Settings that all runs share are in the subtitle, the others above their
    panel.

    Args:
        rows: Runs of the sweep; only those of variants 0 to 11 are drawn.
        published: Whether to add the values that the original study published, for the variants
            that ran.
        theme: Colours.

    Raises:
        UserError: If there is no such run, or runs of one variant differ in more than the seed.
    """
    variants = _list_variants(rows)
    rows = [row for row in rows if row.variant in variants]
    _refuse_mixed_settings(rows)
    as_published = not any(row.changes for row in rows)
    shared, rows = extract_shared_changes(rows)
    settings = ", ".join(run_settings.split_changes(shared))
    archs = [arch for arch in ARCHS if any(row.arch == arch for row in rows)]
    with style.use_theme(theme):
        drawn = style.make_figure(
            8.6, 1.3 + 2.1 * len(archs), theme, "Accuracy of the variants on validation",
            "the published settings" if as_published else settings,
        )  # fmt: skip
        panels = drawn.subplots(len(archs), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, arch in zip(panels, archs, strict=True):
            own = [row for row in rows if row.arch == arch]
            _draw_panel(axes, own, variants, PUBLISHED.get(arch) if published else None, theme)
            axes.set_title(BACKBONES[arch].title, loc="left", fontsize=9, color=theme.ink)
            axes.set_title(
                textwrap.fill((_format_settings(own) + _format_seeds(own)).removeprefix("; "), 100),
                loc="right",
                fontsize=8,
                color=theme.muted,
            )
        panels[-1].set_xticks(range(len(variants)), variants)
        panels[-1].set_xlabel("variant")
        drawn.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5,
            frameon=False, fontsize=7.5, handletextpad=0.4, columnspacing=1.2,
        )  # fmt: skip
    return drawn


def _list_variants(rows: Sequence[Row]) -> list[int]:
    """Lists the numbers of the variants that ran, in ascending order.

    Raises:
        UserError: If there are none.
    """
    variants = sorted({row.variant for row in rows if isinstance(row.variant, int)})
    if not variants:
        raise UserError(
            expected=f"runs of variants 0 to {len(VARIANTS) - 1}",
            found="only runs of the variant 'best'",
            fix="train some with faceemo sweep --variants, or give their folder with --root",
        )
    return variants


def _refuse_mixed_settings(rows: Sequence[Row]) -> None:
    for model in dict.fromkeys(row.model for row in rows):
        _, own = extract_shared_changes([row for row in rows if row.model == model])
        settings = sorted({row.changes for row in own})
        if len(settings) > 1:
            raise UserError(
                expected=f"runs of {model} that differ only in the seed",
                found="runs with "
                + " and with ".join(text or "the variant's own settings" for text in settings),
                fix="draw them separately: move one kind to another folder and give it with --root",
            )


def _format_settings(rows: Sequence[Row]) -> str:
    """Formats the rows' settings, with variants unless all share them.

    Returns:
        Text such as 'weights=hed, epochs=3 (0–9, 11)'.
    """
    variants_with: dict[str, set[int]] = {}
    for row in rows:
        for pair in run_settings.split_changes(row.changes):
            variants_with.setdefault(pair, set()).add(int(row.variant))
    all_variants = {int(row.variant) for row in rows}
    return ", ".join(
        pair if variants == all_variants else f"{pair} ({_format_ranges(sorted(variants))})"
        for pair, variants in sorted(variants_with.items())
    )


def _format_seeds(rows: Sequence[Row]) -> str:
    """Formats the number of seeds behind the means, '' for one; for example '; 2–3 seeds'."""
    groups = run_settings.group_by_seed(rows).values()
    numbers = sorted({len(by_seed) for by_seed in groups})
    few, many = numbers[0], numbers[-1]
    return f"; {few if few == many else f'{few}–{many}'} seeds" if many > 1 else ""


def _format_ranges(numbers: Sequence[int]) -> str:
    """Formats sorted numbers as ranges: [0, 1, 2, 5] as '0–2, 5'."""
    runs = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in ends)


def _draw_panel(
    axes: Any,
    rows: Sequence[Row],
    variants: Sequence[int],
    published: Sequence[float] | None,
    theme: palette.Theme,
) -> None:
    """Draws the accuracies of one backbone's runs; `variants` have a place in every panel."""
    place_of = {variant: float(place) for place, variant in enumerate(variants)}
    places = [place_of[int(row.variant)] for row in rows]
    means = {}
    for by_seed in run_settings.group_by_seed(rows).values():
        (row, *_), *_ = by_seed.values()
        accuracies = run_settings.mean_per_seed(by_seed, lambda row: row.accuracy)
        means[place_of[int(row.variant)]] = fmean(accuracies)
    axes.bar(
        list(means), list(means.values()), 0.62, color=theme.first, label="validation", zorder=2
    )
    values = np.array([row.accuracy for row in rows])
    ends = np.array([[row.low for row in rows], [row.high for row in rows]])
    intervals = axes.errorbar(
        places, values, np.abs(ends - values), fmt=".", markersize=4, color=theme.ink,
        elinewidth=1.1, label="a run, 95% interval over images", zorder=3,
    )  # fmt: skip
    for lines in intervals[2]:  # without the dots: their halos would cut the lines
        lines.set_path_effects(style.make_halo(theme, 1.1))
    axes.plot(
        places, [row.train_accuracy for row in rows], "_", color=theme.second, markersize=13,
        markeredgewidth=2.2, path_effects=style.make_halo(theme, 1.2), label="train", zorder=4,
    )  # fmt: skip
    if published is not None:
        own = sorted(place_of.keys() & {row.variant for row in rows})
        axes.plot(
            [place_of[variant] for variant in own],
            [published[variant] for variant in own],
            "D", markersize=4.5, markerfacecolor=theme.paper, markeredgecolor=theme.ink,
            label="published", zorder=4,
        )  # fmt: skip
    for number, majority in enumerate(sorted({row.majority for row in rows})):
        axes.axhline(
            majority, color=theme.ink, linewidth=1, linestyle="--", zorder=2.5,
            path_effects=style.make_halo(theme, 1), label="" if number else "majority class",
        )  # fmt: skip
    for place, mean in means.items():
        axes.text(
            place, 0.02, f"{mean:.3f}".removeprefix("0"), ha="center", va="bottom",
            fontsize=7, color=palette.text_colour_on(theme.first), zorder=5,
        )  # fmt: skip
    margin = max(0.6, 3 - len(variants) / 2)  # so that few bars are not broad
    axes.set_xlim(-margin, len(variants) - 1 + margin)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)

"""The three pictures that sum up the study: the variants, how each does, the finals by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from faceemo.analysis import style
from faceemo.analysis.leaderboard import Row
from faceemo.config import ARCHS, VARIANTS

NAMES = {"vgg16": "VGG16", "resnet50v2": "ResNet50V2", "efficientnetb0": "EfficientNetB0"}
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


def settings(rows: Sequence[Row]) -> str:
    """What is set other than in the variants: 'epochs=3, steps_per_epoch=150 or 38'."""
    changed = [dict(pair.split("=", 1) for pair in row.changes.split(",") if pair) for row in rows]
    fields = sorted({field for one in changed for field in one})
    values = {
        field: dict.fromkeys(one.get(field, "the variant's") for one in changed) for field in fields
    }
    told = ", ".join(f"{field}={' or '.join(values[field])}" for field in fields)
    return told or "the published settings"


def accuracies(
    rows: Sequence[Row],
    *,
    subtitle: str = "",
    published: bool = False,
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """Validation accuracy of all runs as bars, training accuracy as marks, a panel per backbone.

    Of several seeds the mean stands as the bar and each run as a dot on it.

    Args:
        rows: of the sweep; those of variants 0 to 11 are drawn.
        subtitle: of which images, size and budget.
        published: whether the original's values stand beside them.
        theme: colours.
    """
    archs = [arch for arch in ARCHS if any(row.arch == arch for row in rows)]
    with style.applied(theme):
        drawn = style.figure(
            8.6, 1.2 + 2.1 * len(archs), theme, "Accuracy of the variants on validation", subtitle
        )
        panels = drawn.subplots(len(archs), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, arch in zip(panels, archs, strict=True):
            own = [row for row in rows if row.arch == arch and isinstance(row.variant, int)]
            _panel(axes, own, PUBLISHED[arch] if published else None, theme)
            axes.set_title(NAMES[arch], loc="left", fontsize=9, color=theme.ink)
        panels[-1].set_xticks(range(len(VARIANTS)))
        panels[-1].set_xlabel("variant")
        panels[0].legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False, fontsize=7.5,
            handletextpad=0.4, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
    return drawn


def _panel(
    axes: Any, rows: Sequence[Row], published: Sequence[float] | None, theme: style.Theme
) -> None:
    """One backbone: bars with intervals, training marks, the majority, the published values."""
    places = [float(row.variant) for row in rows]
    variants = sorted({row.variant for row in rows}, key=float)
    means = [np.mean([row.accuracy for row in rows if row.variant == v]) for v in variants]
    axes.bar(
        [float(v) for v in variants], means, 0.62, color=theme.first, label="validation", zorder=2
    )
    values = np.array([row.accuracy for row in rows])
    ends = np.array([[row.low for row in rows], [row.high for row in rows]])
    axes.errorbar(
        places, values, np.abs(ends - values), fmt=".", markersize=3, color=theme.ink,
        elinewidth=0.9, capsize=2, label="95% interval", zorder=3,
    )  # fmt: skip
    axes.plot(
        places, [row.train_accuracy for row in rows], "_", color=theme.second, markersize=13,
        markeredgewidth=2.2, label="train", zorder=4,
    )  # fmt: skip
    if published is not None:
        axes.plot(
            range(len(published)), published, "D", markersize=4.5, markerfacecolor=theme.paper,
            markeredgecolor=theme.ink, label="published", zorder=4,
        )  # fmt: skip
    majority = max(row.majority for row in rows)
    axes.axhline(majority, color=theme.muted, linewidth=1, linestyle="--", label="majority class")
    for place, mean in zip(variants, means, strict=True):
        axes.text(
            float(place), 0.02, f"{mean:.3f}".removeprefix("0"), ha="center", va="bottom",
            fontsize=7, color=style.readable_on(theme.first), zorder=5,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(VARIANTS) - 0.4)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)


def class_performance(
    finals: Mapping[str, Mapping[str, Any]],
    *,
    subtitle: str = "",
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """F1 of each class for some models: a group of bars per class.

    Args:
        finals: of `evaluate.scores`, by the model's name; all with the same classes.
        subtitle: on which images.
        theme: colours.
    """
    classes = next(iter(finals.values()))["classes"]
    colours = (theme.first, theme.second, theme.muted)
    width = 0.8 / len(finals)
    with style.applied(theme):
        drawn = style.figure(
            max(5.5, 1.5 * len(classes) + 1.2), 3.4, theme, "F1 of each emotion", subtitle
        )
        axes = drawn.subplots()
        for number, (name, scores) in enumerate(finals.items()):
            heights = [scores["per_class"][label]["f1"] or 0.0 for label in classes]
            places = np.arange(len(classes)) + (number - (len(finals) - 1) / 2) * width
            colour = colours[number % len(colours)]
            label = f"{name} (macro {scores['macro_f1']:.3f})"
            axes.bar(places, heights, width * 0.92, color=colour, label=label, zorder=2)
            for place, height in zip(places, heights, strict=True):
                text = f"{height:.2f}".removeprefix("0")
                axes.text(place, height + 0.012, text, ha="center", fontsize=7, color=theme.ink)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_locator(MultipleLocator(0.25))
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0, labelcolor=theme.ink)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    return drawn

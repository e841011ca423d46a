"""Figure of the final models: F1 of each emotion, side by side."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from faceemo.analysis.theme import palette, style
from faceemo.config import make_config
from faceemo.config.backbones import BACKBONES
from faceemo.errors import UserError
from faceemo.experiments import run_settings
from faceemo.experiments.leaderboard import Row, extract_shared_changes

MAX_MODELS = 6  # in one figure: three colours, plain and hatched
STUDY_EPOCHS = 6  # epochs of the study's variants
_LEGEND_WIDTH = 34  # characters per line of a model's settings in the legend


def name_models(rows: Sequence[Row], usual_epochs: int = STUDY_EPOCHS) -> tuple[str, list[str]]:
    """Makes a unique name for each row.

    A name is backbone and variant, such as 'VGG16:7', followed by the settings that not all rows
    share. The seed is added if two names would be equal, and the folder if they still are.

    Args:
        rows: Rows from `leaderboard.read_rows`.
        usual_epochs: Number of epochs (the field `epochs`) that names do not mention, because it is
            the usual one.

    Returns:
        The settings that all rows share, such as 'image_size=48, policy=strict', and the names.
    """
    shared, own = extract_shared_changes([_add_epochs(row, usual_epochs) for row in rows])
    names = [
        ", ".join(
            (
                f"{BACKBONES[row.arch].title}:{row.variant}",
                *run_settings.split_changes(row.changes),
            )
        )
        for row in own
    ]
    for suffix in ("seed {0.seed}", "{0.name}"):
        names = [
            f"{name}, {suffix.format(row)}" if names.count(name) > 1 else name
            for name, row in zip(names, rows, strict=True)
        ]
    return ", ".join(run_settings.split_changes(shared)), names


def draw_class_f1(
    finals: Mapping[str, Mapping[str, Any]],
    *,
    subtitle: str = "",
    theme: palette.Theme = palette.LIGHT,
) -> Figure:
    """Draws a group of bars per class: the F1 of each model with its 95% interval.

    The dashed line on a bar is the F1 of always predicting the most frequent class.

    Args:
        finals: Scores from `predictions.compute_scores` by name from `name_models`.
        subtitle: Description of the images.
        theme: Colours.

    Raises:
        UserError: If there are more than `MAX_MODELS`, or their classes differ.
    """
    classes, width = _common_classes(finals), 0.8 / len(finals)
    with style.use_theme(theme):
        drawn = style.make_figure(
            max(5.5, 1.2 + len(classes) * max(1.5, 0.36 * len(finals))), 3.8, theme,
            "F1 of each emotion", subtitle,
        )  # fmt: skip
        axes = drawn.subplots()
        for number, (name, scores) in enumerate(finals.items()):
            places = np.arange(len(classes)) + (number - (len(finals) - 1) / 2) * width
            model, _, settings = name.partition(", ")
            label = "\n".join(
                (
                    f"{model} (macro {scores['macro_f1']:.3f})",
                    *textwrap.wrap(settings, _LEGEND_WIDTH),
                )
            )
            bar_style = {
                "color": (theme.first, theme.second, theme.third)[number % 3],
                "hatch": "////" if number >= 3 else "",
            }
            _draw_bars(axes, places, width, scores, bar_style, label, theme)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_locator(MultipleLocator(0.25))
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0, labelcolor=theme.ink)
        marks = [
            Line2D([], [], color=theme.ink, linewidth=1.1, marker="|", linestyle="none"),
            Line2D([], [], color=theme.ink, linewidth=1, linestyle="--"),
        ]
        axes.legend(
            marks, ["95% interval", "majority class; 0 for the others"], loc="lower right",
            bbox_to_anchor=(1, 0.97), ncols=2, frameon=False, fontsize=7.5, handletextpad=0.4,
        )  # fmt: skip
        handles, labels = axes.get_legend_handles_labels()
        rows = [index for column in range(3) for index in range(column, len(labels), 3)]
        drawn.legend(
            [handles[index] for index in rows], [labels[index] for index in rows],
            loc="outside lower center", ncols=3, frameon=False,
        )  # fmt: skip
    return drawn


def compute_majority_f1(scores: Mapping[str, Any]) -> list[float]:
    """Computes the F1 of each class for always predicting the most frequent one.

    That class has its share of the images as precision, and recall 1; all others have F1 0.

    Args:
        scores: Scores from `predictions.compute_scores`.
    """
    share = scores["majority_baseline"]
    return [
        2 * share / (1 + share) if label == scores["majority_class"] else 0.0
        for label in scores["classes"]
    ]


def _add_epochs(row: Row, usual: int) -> Row:
    """Returns the row with its number of epochs in `changes`, unless it is the usual one."""
    pairs = dict(pair.split("=", 1) for pair in run_settings.split_changes(row.changes))
    epochs = pairs.pop("epochs", str(make_config(row.arch, str(row.variant)).epochs))
    if epochs != str(usual):
        pairs["epochs"] = epochs
    return dataclasses.replace(
        row, changes=",".join(f"{field}={value}" for field, value in sorted(pairs.items()))
    )


def _common_classes(finals: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if len(finals) > MAX_MODELS:
        raise UserError(
            expected=f"at most {MAX_MODELS} models in the figure of F1",
            found=f"{len(finals)}: {'; '.join(finals)}",
            fix="use --finals to name a folder that contains only the runs to draw",
        )
    first, *others = (list(scores["classes"]) for scores in finals.values())
    if different := [classes for classes in others if classes != first]:
        raise UserError(
            expected=f"models that all have the classes {', '.join(first)}",
            found=f"one with {', '.join(different[0])}",
            fix="use --finals to name a folder whose runs have the same classes",
        )
    return first


def _draw_bars(
    axes: Any,
    places: np.ndarray,
    width: float,
    scores: Mapping[str, Any],
    bar_style: Mapping[str, str],
    label: str,
    theme: palette.Theme,
) -> None:
    """Draws one model: a bar per class with its value, its interval and the majority's F1."""
    rows = [scores["per_class"][name] for name in scores["classes"]]
    values = np.array([row["f1"] for row in rows])
    ends = np.array([row["f1_interval"] or (row["f1"],) * 2 for row in rows]).T
    axes.bar(
        places, values, width * 0.92, **bar_style, edgecolor=theme.paper, linewidth=0, label=label,
        zorder=2,
    )  # fmt: skip
    majority = np.array(compute_majority_f1(scores))
    left, right = (places + side * width / 2 for side in (-1, 1))
    positive = majority > 0
    axes.hlines(
        majority[positive], left[positive], right[positive], color=theme.ink, linewidth=1,
        linestyle="--", path_effects=style.make_halo(theme, 1), zorder=3,
    )  # fmt: skip
    axes.vlines(
        places,
        *ends,
        color=theme.ink,
        linewidth=1.1,
        path_effects=style.make_halo(theme, 1.1),
        zorder=4,
    )
    for place, value, top in zip(places, values, ends[1], strict=True):
        axes.text(
            place, top + 0.015, f"{value:.2f}".removeprefix("0"), ha="center", fontsize=7,
            color=theme.ink, path_effects=style.make_halo(theme, 1), zorder=5,
        )  # fmt: skip

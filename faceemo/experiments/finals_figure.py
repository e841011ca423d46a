"""The models that a study ends with, side by side: F1 of each emotion."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from faceemo.analysis.theme import style
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import run_settings
from faceemo.experiments.leaderboard import Row, told_once
from faceemo.experiments.study_figures import NAMES

MOST = 6  # models in one picture: three colours, plain and hatched
EPOCHS = 6  # of the study's variants
_WRAPPED = 34  # characters of a model's settings in a line of the legend


def told_apart(rows: Sequence[Row], epochs: int = EPOCHS) -> tuple[str, list[str]]:
    """What all rows set, 'image_size=48, policy=strict', and a name of its own for each.

    A name is 'VGG16:7', then what not all rows set, then the seed where it takes that to tell two
    apart, then the folder where it takes that too.

    Args:
        rows: of `leaderboard.read`.
        epochs: at the most; what goes without saying.
    """
    shared, apart = told_once([_with_epochs(row, epochs) for row in rows])
    names = [
        ", ".join((f"{NAMES[row.arch]}:{row.variant}", *run_settings.split(row.changes)))
        for row in apart
    ]
    for more in ("seed {0.seed}", "{0.name}"):
        names = [
            f"{name}, {more.format(row)}" if names.count(name) > 1 else name
            for name, row in zip(names, rows, strict=True)
        ]
    return ", ".join(run_settings.split(shared)), names


def class_performance(
    finals: Mapping[str, Mapping[str, Any]],
    *,
    subtitle: str = "",
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """F1 of each class for some models: a group of bars per class, each with its 95% interval.

    The dashes on a bar are what always answering the most frequent class would get there.

    Args:
        finals: of `predictions.compute_scores`, by the names of `told_apart`.
        subtitle: on which images.
        theme: colours.

    Raises:
        UserError: if there are more than `MOST`, or their classes differ.
    """
    classes, width = _classes(finals), 0.8 / len(finals)
    with style.applied(theme):
        drawn = style.figure(
            max(5.5, 1.2 + len(classes) * max(1.5, 0.36 * len(finals))), 3.8, theme,
            "F1 of each emotion", subtitle,
        )  # fmt: skip
        axes = drawn.subplots()
        for number, (name, scores) in enumerate(finals.items()):
            places = np.arange(len(classes)) + (number - (len(finals) - 1) / 2) * width
            model, _, own = name.partition(", ")
            label = "\n".join(
                (f"{model} (macro {scores['macro_f1']:.3f})", *textwrap.wrap(own, _WRAPPED))
            )
            look = {
                "color": (theme.first, theme.second, theme.third)[number % 3],
                "hatch": "////" if number >= 3 else "",
            }
            _bars(axes, places, width, scores, look, label, theme)
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


def majority_f1(scores: Mapping[str, Any]) -> list[float]:
    """F1 of each class if the answer is always the most frequent one.

    Its precision is its share of the images, its recall 1; the others are never answered.

    Args:
        scores: of `predictions.compute_scores`.
    """
    share = scores["majority_baseline"]
    return [
        2 * share / (1 + share) if label == scores["majority_class"] else 0.0
        for label in scores["classes"]
    ]


def _with_epochs(row: Row, usual: int) -> Row:
    """The row with its number of epochs in `changes`, or without it where it is the usual one."""
    pairs = dict(pair.split("=", 1) for pair in run_settings.split(row.changes))
    epochs = pairs.pop("epochs", str(make_config(row.arch, str(row.variant)).epochs))
    if epochs != str(usual):
        pairs["epochs"] = epochs
    return dataclasses.replace(
        row, changes=",".join(f"{field}={value}" for field, value in sorted(pairs.items()))
    )


def _classes(finals: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if len(finals) > MOST:
        raise UserError(
            expected=f"at most {MOST} models in a picture of F1",
            found=f"{len(finals)}: {'; '.join(finals)}",
            fix="name with --finals a folder that holds those to be drawn, and no others",
        )
    first, *others = (list(scores["classes"]) for scores in finals.values())
    if unlike := [classes for classes in others if classes != first]:
        raise UserError(
            expected=f"models of the same classes, {', '.join(first)}",
            found=", ".join(unlike[0]),
            fix="name with --finals a folder whose runs recognise the same",
        )
    return first


def _bars(
    axes: Any,
    places: np.ndarray,
    width: float,
    scores: Mapping[str, Any],
    look: Mapping[str, str],
    label: str,
    theme: style.Theme,
) -> None:
    """One model: a bar per class with its interval, its value and the majority's."""
    rows = [scores["per_class"][name] for name in scores["classes"]]
    values = np.array([row["f1"] for row in rows])
    ends = np.array([row["f1_interval"] or (row["f1"],) * 2 for row in rows]).T
    axes.bar(
        places, values, width * 0.92, **look, edgecolor=theme.paper, linewidth=0, label=label,
        zorder=2,
    )  # fmt: skip
    majority = np.array(majority_f1(scores))
    left, right = (places + side * width / 2 for side in (-1, 1))
    some = majority > 0
    axes.hlines(
        majority[some], left[some], right[some], color=theme.ink, linewidth=1, linestyle="--",
        path_effects=style.halo(theme, 1), zorder=3,
    )  # fmt: skip
    axes.vlines(
        places, *ends, color=theme.ink, linewidth=1.1, path_effects=style.halo(theme, 1.1), zorder=4
    )
    for place, value, top in zip(places, values, ends[1], strict=True):
        axes.text(
            place, top + 0.015, f"{value:.2f}".removeprefix("0"), ha="center", fontsize=7,
            color=theme.ink, path_effects=style.halo(theme, 1), zorder=5,
        )  # fmt: skip

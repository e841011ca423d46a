"""Tests that the figures of the study show the numbers of the runs."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from faceemo.analysis.theme import palette
from faceemo.config import VARIANTS
from faceemo.errors import UserError
from faceemo.experiments import study_figures
from faceemo.experiments.leaderboard import Row

ROW = Row(
    name="", arch="vgg16", variant=0, changes="", seed=0, accuracy=0.5, low=0.4, high=0.7,
    macro_f1=0.4, majority=0.366, train_accuracy=0.55, best_epoch=1, epochs_run=2, seconds=3.0,
    params_trainable=4, warnings="", command="",
)  # fmt: skip


def rows(arch, seeds=1):
    rng = np.random.default_rng(3)
    return [
        dataclasses.replace(ROW, arch=arch, variant=variant, seed=seed, accuracy=rng.uniform(0, 1))
        for variant in range(12)
        for seed in range(seeds)
    ]


def all_text(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_table_shows_every_variant():
    (axes,) = study_figures.draw_variants(rows("vgg16")).axes
    for number, variant in enumerate(VARIANTS):
        for place in (str(number), variant.augmentation, str(variant.batch_size)):
            assert place in texts(axes)
    written: Any = axes.texts
    bold = [text.get_text() for text in written if text.get_weight() == "bold"]
    changes = sum(
        one != other
        for before, after in itertools.pairwise(VARIANTS)
        for one, other in zip(dataclasses.astuple(before), dataclasses.astuple(after), strict=True)
    )
    assert len(bold) == changes


def test_only_variants_that_ran_have_a_place():
    """The place of variant 7 is the second of four in every panel, whichever variants it has."""
    own = [row for row in rows("vgg16") if row.variant in (0, 7, 11)]
    own += [row for row in rows("resnet50v2") if row.variant in (7, 9)]
    first, second = study_figures.draw_accuracies(own, published=True).axes
    assert [label.get_text() for label in second.get_xticklabels()] == ["0", "7", "9", "11"]
    for axes, arch, places in ((first, "vgg16", [0, 1, 3]), (second, "resnet50v2", [1, 2])):
        patches: Any = axes.patches
        assert [bar.get_x() + bar.get_width() / 2 for bar in patches] == pytest.approx(places)
        lines: Any = axes.lines
        (line,) = [line for line in lines if line.get_label() == "published"]
        assert line.get_xdata().tolist() == places
        variants = [int(row.variant) for row in own if row.arch == arch]
        values = [study_figures.PUBLISHED[arch][variant] for variant in variants]
        assert line.get_ydata().tolist() == values
    (table,) = study_figures.draw_variants(own).axes
    assert {"0", "7", "9", "11"} < set(texts(table))
    assert not {"1", "6", "8", "10"} & set(texts(table))
    assert "twelve" not in all_text(study_figures.draw_variants(own))
    best = [dataclasses.replace(ROW, variant="best")]
    with pytest.raises(UserError, match="variants 0 to 11"):
        study_figures.draw_variants(best)


@pytest.mark.parametrize("seeds", [1, 3])
def test_bars_are_means_and_every_run_is_a_dot(seeds):
    own = [*rows("efficientnetb0", seeds), dataclasses.replace(ROW, variant="best")]
    own += rows("vgg16")
    first, second = study_figures.draw_accuracies(own).axes
    assert [first.get_title("left"), second.get_title("left")] == ["VGG16", "EfficientNetB0"]
    patches: Any = second.patches
    heights = [bar.get_height() for bar in patches]
    of_arch = [row for row in own if row.arch == "efficientnetb0"]
    means = [np.mean([r.accuracy for r in of_arch if r.variant == v]) for v in range(12)]
    np.testing.assert_allclose(heights, means)
    points = next(line for line in second.lines if len(line.get_xdata()) == 12 * seeds)
    assert ("3 seeds" in second.get_title(loc="right")) == (seeds == 3)
    np.testing.assert_array_equal(points.get_ydata(), [row.accuracy for row in of_arch])
    assert not any(line.get_label() == "published" for line in second.lines)


def test_published_values_are_drawn_on_request():
    (axes,) = study_figures.draw_accuracies(rows("resnet50v2"), published=True).axes
    lines: Any = axes.lines
    (line,) = [line for line in lines if line.get_label() == "published"]
    assert line.get_ydata()[2] == 0.576
    assert all(len(values) == 12 for values in study_figures.PUBLISHED.values())


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_the_majority_line_is_visible_on_bars_and_on_paper(theme):
    """It is ink with a halo of paper: one of them contrasts with the background, in grey too."""
    (axes,) = study_figures.draw_accuracies(rows("vgg16"), theme=theme).axes
    lines: Any = axes.lines
    (line,) = [line for line in lines if line.get_label() == "majority class"]
    assert line.get_ydata()[0] == 0.366
    assert line.get_color() == theme.ink
    (halo,) = line.get_path_effects()
    assert halo._gc["foreground"] == theme.paper
    assert halo._gc["linewidth"] > line.get_linewidth()


def test_each_seed_of_a_variant_counts_once():
    """Two runs of one seed are averaged first: the mean is that of 0.2 and 0.6."""
    own = [
        dataclasses.replace(ROW, seed=seed, accuracy=accuracy)
        for seed, accuracy in ((1, 0.2), (2, 0.5), (2, 0.7))
    ]
    (axes,) = study_figures.draw_accuracies(own).axes
    patches: Any = axes.patches
    assert [bar.get_height() for bar in patches] == pytest.approx([0.4])


def test_a_backbone_without_numbered_variants_has_no_panel():
    best = dataclasses.replace(ROW, arch="resnet50v2", variant="best", changes="epochs=20")
    figure = study_figures.draw_accuracies([*rows("vgg16"), best])
    assert [axes.get_title("left") for axes in figure.axes] == ["VGG16"]
    assert "epochs" not in all_text(figure)
    with pytest.raises(UserError, match=r"variants 0 to 11.*--root"):
        study_figures.draw_accuracies([best])


def test_runs_of_one_variant_that_differ_in_more_than_the_seed_are_refused():
    """Different variants may have different settings: larger batches take fewer steps."""
    own = [
        dataclasses.replace(row, changes=f"epochs=3,steps_per_epoch={38 if n > 9 else 150}")
        for n, row in enumerate(rows("vgg16"))
    ]
    (axes,) = study_figures.draw_accuracies(own).axes
    assert axes.get_title("right") == "steps_per_epoch=150 (0–9), steps_per_epoch=38 (10–11)"
    large = dataclasses.replace(own[4], seed=9, changes=f"{own[4].changes},image_size=96")
    with pytest.raises(
        UserError,
        match=r"vgg16:4 .*found runs with the variant's own settings and with image_size=96",
    ):
        study_figures.draw_accuracies([*own, large])


def test_shared_settings_are_in_the_subtitle_and_others_above_their_panel():
    own = [
        dataclasses.replace(row, changes=f"epochs=3,weights={weights}")
        for arch, weights in (("vgg16", "hed"), ("resnet50v2", "none"))
        for row in rows(arch)
    ]
    figure = study_figures.draw_accuracies(own)
    assert [axes.get_title("right") for axes in figure.axes] == ["weights=hed", "weights=none"]
    assert all_text(figure).count("epochs=3") == 1
    assert "the published settings" in all_text(study_figures.draw_accuracies(rows("vgg16")))

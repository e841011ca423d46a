"""The summary pictures show the runs' own numbers."""

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from faceemo.analysis.theme import style
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


def told(drawn):
    return " ".join(text.get_text() for text in drawn.findobj(Text))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_table_holds_every_variant():
    (axes,) = study_figures.versions().axes
    for number, variant in enumerate(VARIANTS):
        for place in (str(number), variant.augmentation, str(variant.batch_size)):
            assert place in texts(axes)
    bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
    changes = sum(
        one != other
        for before, after in itertools.pairwise(VARIANTS)
        for one, other in zip(dataclasses.astuple(before), dataclasses.astuple(after), strict=True)
    )
    assert len(bold) == changes


@pytest.mark.parametrize("seeds", [1, 3])
def test_bars_are_means_and_every_run_has_its_point(seeds):
    own = [*rows("efficientnetb0", seeds), dataclasses.replace(ROW, variant="best")]
    own += rows("vgg16")
    first, second = study_figures.accuracies(own).axes
    assert [first.get_title("left"), second.get_title("left")] == ["VGG16", "EfficientNetB0"]
    heights = [bar.get_height() for bar in second.patches]
    of_arch = [row for row in own if row.arch == "efficientnetb0"]
    means = [np.mean([r.accuracy for r in of_arch if r.variant == v]) for v in range(12)]
    np.testing.assert_allclose(heights, means)
    points = next(line for line in second.lines if len(line.get_xdata()) == 12 * seeds)
    np.testing.assert_array_equal(points.get_ydata(), [row.accuracy for row in of_arch])
    assert not any(line.get_label() == "published" for line in second.lines)


def test_published_values_stand_beside_on_request():
    (axes,) = study_figures.accuracies(rows("resnet50v2"), published=True).axes
    (line,) = [line for line in axes.lines if line.get_label() == "published"]
    assert line.get_ydata()[2] == 0.576
    assert all(len(values) == 12 for values in study_figures.PUBLISHED.values())


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_the_majoritys_line_is_seen_on_bars_and_on_paper(theme):
    """As ink with a rim of paper: either is light where the other is dark, in grey print too."""
    (axes,) = study_figures.accuracies(rows("vgg16"), theme=theme).axes
    (line,) = [line for line in axes.lines if line.get_label() == "majority class"]
    assert line.get_ydata()[0] == 0.366
    assert line.get_color() == theme.ink
    (rim,) = line.get_path_effects()
    assert rim._gc["foreground"] == theme.paper
    assert rim._gc["linewidth"] > line.get_linewidth()


def test_several_seeds_of_one_variant_count_each_once():
    """Two runs of one seed are one: the mean is of 0.2 and 0.6."""
    own = [
        dataclasses.replace(ROW, seed=seed, accuracy=accuracy)
        for seed, accuracy in ((1, 0.2), (2, 0.5), (2, 0.7))
    ]
    (axes,) = study_figures.accuracies(own).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.4])


def test_a_backbone_with_none_of_the_variants_has_no_panel():
    best = dataclasses.replace(ROW, arch="resnet50v2", variant="best", changes="epochs=20")
    drawn = study_figures.accuracies([*rows("vgg16"), best])
    assert [axes.get_title("left") for axes in drawn.axes] == ["VGG16"]
    assert "epochs" not in told(drawn)
    with pytest.raises(UserError, match=r"variants 0 to 11.*--root"):
        study_figures.accuracies([best])


def test_runs_of_one_variant_that_differ_in_more_than_the_seed_are_refused():
    """Other variants may have other settings: those with larger batches take fewer steps."""
    own = [
        dataclasses.replace(row, changes=f"epochs=3,steps_per_epoch={38 if n > 9 else 150}")
        for n, row in enumerate(rows("vgg16"))
    ]
    (axes,) = study_figures.accuracies(own).axes
    assert axes.get_title("right") == "steps_per_epoch=150 (0–9), steps_per_epoch=38 (10–11)"
    large = dataclasses.replace(own[4], seed=9, changes=f"{own[4].changes},image_size=96")
    with pytest.raises(UserError, match=r"vgg16:4 .*found the variant's own beside image_size=96"):
        study_figures.accuracies([*own, large])


def test_what_all_runs_set_is_told_once_and_the_rest_by_panel():
    own = [
        dataclasses.replace(row, changes=f"epochs=3,weights={weights}")
        for arch, weights in (("vgg16", "hed"), ("resnet50v2", "none"))
        for row in rows(arch)
    ]
    drawn = study_figures.accuracies(own)
    assert [axes.get_title("right") for axes in drawn.axes] == ["weights=hed", "weights=none"]
    assert told(drawn).count("epochs=3") == 1
    assert "the published settings" in told(study_figures.accuracies(rows("vgg16")))

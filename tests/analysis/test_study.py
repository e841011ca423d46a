"""The summary pictures show the runs' own numbers."""

import dataclasses
import itertools
import json
import runpy
import sys

import numpy as np
import pytest
from matplotlib.text import Text

from faceemo.analysis import leaderboard, study, style
from faceemo.analysis.leaderboard import Row
from faceemo.config import VARIANTS
from tests.test_main import REPOSITORY

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


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_table_holds_every_variant():
    (axes,) = study.versions().axes
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
    first, second = study.accuracies(own).axes
    assert [first.get_title("left"), second.get_title("left")] == ["VGG16", "EfficientNetB0"]
    heights = [bar.get_height() for bar in second.patches]
    of_arch = [row for row in own if row.arch == "efficientnetb0"]
    means = [np.mean([r.accuracy for r in of_arch if r.variant == v]) for v in range(12)]
    np.testing.assert_allclose(heights, means)
    points = next(line for line in second.lines if len(line.get_xdata()) == 12 * seeds)
    np.testing.assert_array_equal(points.get_ydata(), [row.accuracy for row in of_arch])
    assert not any(line.get_label() == "published" for line in second.lines)


def test_published_values_stand_beside_on_request():
    (axes,) = study.accuracies(rows("resnet50v2"), published=True).axes
    (line,) = [line for line in axes.lines if line.get_label() == "published"]
    assert line.get_ydata()[2] == 0.576
    assert all(len(values) == 12 for values in study.PUBLISHED.values())


def test_each_class_has_a_bar_per_model():
    classes = ["happy", "sad", "calm"]
    finals = {
        name: {
            "classes": classes,
            "macro_f1": 0.5,
            "per_class": {label: {"f1": value + n / 10} for n, label in enumerate(classes)},
        }
        for name, value in (("a", 0.2), ("b", 0.6))
    }
    (axes,) = study.class_performance(finals).axes
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, 3)
    np.testing.assert_allclose(heights, [[0.2, 0.3, 0.4], [0.6, 0.7, 0.8]])
    assert [label.get_text() for label in axes.get_xticklabels()] == classes


def test_settings_tell_what_runs_share_and_where_they_differ():
    own = [dataclasses.replace(ROW, changes=text) for text in ("epochs=3,size=48", "epochs=3", "")]
    assert study.settings(own[:1] * 2) == "epochs=3, size=48"
    assert study.settings(own) == "epochs=3 or the variant's, size=48 or the variant's"
    assert study.settings(own[2:]) == "the published settings"


def test_finals_of_another_folder_keep_their_own_settings(tmp_path, monkeypatch):
    """They may have been trained otherwise than the sweep; each picture tells its own runs'."""
    ran = {
        folder: [
            dataclasses.replace(ROW, name=f"{arch}-{n}", arch=arch, variant=n, changes=changes)
            for n, arch in enumerate(("vgg16", "efficientnetb0", "resnet50v2", "vgg16"))
        ]
        for folder, changes in ((tmp_path / "sweep", "epochs=3"), (tmp_path / "final", "epochs=6"))
    }
    scores = {"classes": ["sad"], "macro_f1": 0.25, "per_class": {"sad": {"f1": 0.25}}}
    for row in ran[tmp_path / "final"]:
        report = tmp_path / "final" / row.name / "report" / "validation"
        report.mkdir(parents=True)
        (report / "scores.json").write_text(json.dumps(scores))

    def told(picture, path):
        path.write_text(" ".join(text.get_text() for text in picture.findobj(Text)))

    monkeypatch.setattr(leaderboard, "read", ran.__getitem__)
    monkeypatch.setattr(style, "save", told)
    monkeypatch.setattr(
        sys, "argv",
        ["draw_study.py", f"--root={tmp_path / 'sweep'}", f"--finals={tmp_path / 'final'}",
         f"--out={tmp_path}"],
    )  # fmt: skip
    runpy.run_path(str(REPOSITORY / "scripts" / "draw_study.py"), run_name="__main__")
    assert "epochs=3" in (tmp_path / "model_accuracies.png").read_text()
    finals = (tmp_path / "emotion_class_performance.png").read_text()
    assert "validation; epochs=6" in finals
    assert "epochs=3" not in finals
    assert "ResNet50V2:2 (macro 0.250)" in finals
    assert "twelve variants" in (tmp_path / "model_versions.png").read_text()

"""Tests of the F1 figure: its bars and marks, the names of the models, the script."""

import dataclasses
import json
import runpy
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score

from faceemo.analysis.predictions import compute_scores
from faceemo.analysis.theme import palette, style
from faceemo.errors import UserError
from faceemo.experiments import finals_figure, leaderboard
from tests.experiments.test_study_figures import ROW, all_text
from tests.support.places import REPOSITORY

FINALS = (("vgg16", 7, "hed"), ("resnet50v2", 8, "none"), ("efficientnetb0", 9, "none"))


def row(arch="vgg16", variant=7, changes="", **fields):
    return dataclasses.replace(ROW, arch=arch, variant=variant, changes=changes, **fields)


@pytest.fixture(scope="module")
def scores(make_predictions):
    return compute_scores(make_predictions(n=200))


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_each_class_has_a_bar_per_model_with_its_interval(scores, make_predictions, theme):
    finals = {"a": scores, "b": compute_scores(make_predictions(n=150, seed=1))}
    (axes,) = finals_figure.draw_class_f1(finals, theme=theme).axes
    patches: Any = axes.patches
    heights = np.array([bar.get_height() for bar in patches]).reshape(2, 4)
    rows = [list(found["per_class"].values()) for found in finals.values()]
    np.testing.assert_allclose(heights, [[one["f1"] for one in found] for found in rows])
    assert [label.get_text() for label in axes.get_xticklabels()] == scores["classes"]
    collections: Any = axes.collections
    majority = [lines for lines in collections if lines.get_linestyle()[0][1] is not None]
    intervals = [lines for lines in collections if lines.get_linestyle()[0][1] is None]
    for lines, found, bars in zip(intervals, rows, axes.containers, strict=True):
        for line, one, bar in zip(lines.get_segments(), found, bars, strict=True):
            np.testing.assert_allclose(line[:, 1], one["f1_interval"])
            np.testing.assert_allclose(line[:, 0], bar.get_x() + bar.get_width() / 2)
    for lines, found, bars in zip(majority, finals.values(), axes.containers, strict=True):
        (line,) = lines.get_segments()
        place = found["classes"].index(found["majority_class"])
        share = found["majority_baseline"]
        np.testing.assert_allclose(line[:, 1], 2 * share / (1 + share))
        assert line[0, 0] <= bars[place].get_x() < line[1, 0]
    for lines in collections:
        assert to_hex(lines.get_color()[0]) == theme.ink
        assert lines.get_path_effects()[0]._gc["foreground"] == theme.paper


def test_a_class_without_f1_interval_is_drawn(scores):
    absent = {"f1": 0.0, "f1_interval": None}
    finals_figure.draw_class_f1(
        {"a": scores | {"per_class": scores["per_class"] | {"sad": absent}}}
    )


def test_majority_f1_equals_that_of_scikit_learns_dummy_classifier(scores, predictions):
    labels = predictions.labels
    dummy = DummyClassifier(strategy="most_frequent").fit(labels, labels).predict(labels)
    oracle = f1_score(labels, dummy, average=None, zero_division=0)
    assert finals_figure.compute_majority_f1(compute_scores(predictions)) == pytest.approx(
        oracle.tolist()
    )


def test_six_models_look_different_and_more_are_refused(scores):
    (axes,) = finals_figure.draw_class_f1(dict.fromkeys("abcdef", scores)).axes
    styles = {(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}
    assert len(styles) == 6
    with pytest.raises(UserError, match=r"at most 6 models.*found 7: a; b;.*--finals"):
        finals_figure.draw_class_f1(dict.fromkeys("abcdefg", scores))
    fewer = scores | {"classes": scores["classes"][:2]}
    with pytest.raises(UserError, match="found one with happy, neutral"):
        finals_figure.draw_class_f1({"a": scores, "b": fewer})


def test_names_contain_the_settings_that_are_not_shared():
    own = [row(arch, n, f"image_size=48,weights={weights}") for arch, n, weights in FINALS]
    assert finals_figure.name_models(own) == (
        "image_size=48",
        ["VGG16:7, weights=hed", "ResNet50V2:8, weights=none", "EfficientNetB0:9, weights=none"],
    )
    assert finals_figure.name_models(own[:1], 20)[0] == "epochs=6, image_size=48, weights=hed"
    finals = [row(changes="epochs=20"), row(variant="best"), row(variant=9, changes="epochs=3")]
    assert finals_figure.name_models(finals, 20) == (
        "",
        ["VGG16:7", "VGG16:best", "VGG16:9, epochs=3"],
    )
    assert finals_figure.name_models(finals[:2]) == ("epochs=20", ["VGG16:7", "VGG16:best"])


def test_every_model_has_a_unique_name():
    seeds = [row(seed=1), row(seed=2), row("resnet50v2", 8, seed=1)]
    names = ["VGG16:7, seed 1", "VGG16:7, seed 2", "ResNet50V2:8"]
    assert finals_figure.name_models(seeds)[1] == names
    moved = [row(seed=1, name="here"), row(seed=1, name="there")]
    assert finals_figure.name_models(moved)[1] == [
        "VGG16:7, seed 1, here",
        "VGG16:7, seed 1, there",
    ]


@pytest.fixture
def draw(tmp_path, monkeypatch, scores):
    """Returns a function that runs the script and returns the text of each figure by name."""

    def run_script(finals):
        rows = {tmp_path / "sweep": [row(changes="epochs=3")], tmp_path / "final": finals}
        for one in finals:
            report = tmp_path / "final" / one.name / "report" / "validation"
            report.mkdir(parents=True)
            (report / "scores.json").write_text(json.dumps(scores))
        monkeypatch.setattr(leaderboard, "read_rows", rows.__getitem__)
        monkeypatch.setattr(style, "save", lambda picture, path: path.write_text(all_text(picture)))
        monkeypatch.setattr(
            sys, "argv",
            ["draw_study.py", f"--root={tmp_path / 'sweep'}", f"--finals={tmp_path / 'final'}",
             f"--out={tmp_path}"],
        )  # fmt: skip
        runpy.run_path(str(REPOSITORY / "scripts" / "draw_study.py"), run_name="__main__")
        return {path.stem: path.read_text() for path in tmp_path.glob("*.png")}

    return run_script


def test_the_script_shows_the_settings_of_all_final_models(draw, scores):
    """Final models may have other settings than the sweep; each figure shows those of its runs."""
    finals = [row(*model[:2], f"weights={model[2]}", name=f"{n}") for n, model in enumerate(FINALS)]
    pictures = draw([*finals, row(changes="weights=hed", seed=5, name="3")])
    assert "epochs=3" in pictures["model_accuracies"]
    assert "The variants" in pictures["model_versions"]
    words = pictures["emotion_class_performance"]
    assert "validation; epochs=6" in words
    assert "epochs=3" not in words
    macro = f"(macro {scores['macro_f1']:.3f})"
    for name in (
        f"VGG16:7 {macro}\nweights=hed, seed 0", f"VGG16:7 {macro}\nweights=hed, seed 5",
        f"ResNet50V2:8 {macro}\nweights=none", f"EfficientNetB0:9 {macro}\nweights=none",
    ):  # fmt: skip
        assert name in words


def test_the_script_refuses_too_many_final_models(draw, capsys, tmp_path):
    with pytest.raises(SystemExit):
        draw([row(name=f"{n}", seed=n) for n in range(7)])
    assert (
        "at most 6 models in the figure of F1; found 7: VGG16:7, seed 0;" in capsys.readouterr().err
    )
    assert not list(tmp_path.glob("*.png"))

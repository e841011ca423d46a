import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions, compute_scores, confusions
from faceemo.analysis.report import figures, reliability
from faceemo.analysis.theme import style
from faceemo.config import CLASSES
from tests.analysis.theme.test_style import contrast


def pixels(figure):
    """What the figure looks like as a file: uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    style.save(figure, buffer)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure):
    """Every text of the figure."""
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def drawings(history, predictions, theme):
    scores = compute_scores(predictions)
    yield figures.learning_curve(history, "accuracy", subtitle="s", baseline=0.4, theme=theme)
    yield figures.learning_curve(history, "loss", subtitle="s", theme=theme)
    yield figures.confusion_matrix(scores, subtitle="s", theme=theme)
    yield figures.classification_report(scores, subtitle="s", theme=theme)
    yield figures.misclassified(predictions, subtitle="s", theme=theme)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_every_figure_is_drawn_on_its_own_paper(history, predictions, theme):
    before = dict(matplotlib.rcParams)
    paper = tuple(bytes.fromhex(theme.paper[1:]))
    for figure in drawings(history, predictions, theme):
        image = pixels(figure)
        assert tuple(image[0, 0]) == paper
        assert 0.01 < (image != paper).any(axis=2).mean() < 0.9
    assert dict(matplotlib.rcParams) == before  # no global state is left behind


def test_pyplot_is_not_needed():
    import subprocess
    import sys

    code = (
        "import sys, faceemo.analysis.report.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_best_epoch_is_the_first_of_equals(history):
    assert figures.best_epoch(history) == 2
    assert figures.best_epoch([]) is None
    assert figures.best_epoch([{"epoch": 1, "validation/accuracy": float("nan")}]) is None


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_every_word_of_a_curve_is_readable(history, theme):
    figure = figures.learning_curve(history, "accuracy", subtitle="s", baseline=0.4, theme=theme)
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text():
            colour = matplotlib.colors.to_hex(text.get_color())
            assert contrast(colour, theme.paper) >= 4.5, text.get_text()


def test_curve_names_its_lines_best_epoch_and_baseline(history):
    figure = figures.learning_curve(history, "accuracy", subtitle="vgg16:7", baseline=0.367)
    found = texts(figure)
    for text in ("train 0.820", "validation 0.680", "majority class 0.367", "vgg16:7"):
        assert text in found
    assert "best: epoch 2, accuracy 0.680" in found
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert low < 0.367 < 0.82 < high  # the baseline is within the picture


@pytest.mark.parametrize("measure", ["accuracy", "loss"])
def test_curve_survives_one_epoch_and_missing_values(history, measure):
    nan = float("nan")
    pixels(figures.learning_curve(history[:1], measure, baseline=0.3))
    gap = {"epoch": 2, "train/accuracy": nan, "train/loss": nan}
    pixels(figures.learning_curve([history[0], gap, history[2]], measure))
    pixels(figures.learning_curve([gap], measure))


def test_matrix_shows_counts_and_shares_of_rows(predictions):
    confusion = [[90, 10, 0, 0], [0, 0, 0, 0], [5, 5, 10, 0], [0, 0, 0, 1234]]
    scores = compute_scores(predictions) | {"confusion": confusion}
    found = texts(figures.confusion_matrix(scores))
    for text in ("90", "90.0%", "10.0%", "25.0%", "50.0%", "1,234", "100.0%", "neutral\n0"):
        assert text in found
    assert found.count("–") == 4  # a class without images has no shares


def test_pictures_of_scores_tell_accuracy_and_the_majority(predictions):
    scores = compute_scores(predictions)
    measured = calibration.before_and_after(predictions, None)
    low, high = scores["accuracy_interval"]
    for figure in (
        figures.confusion_matrix(scores, subtitle="vgg16:7 on test"),
        figures.classification_report(scores, subtitle="vgg16:7 on test"),
        reliability.reliability_diagram(measured, scores, subtitle="vgg16:7 on test"),
    ):
        told = " ".join(" ".join(texts(figure)).split())
        assert f"vgg16:7 on test: accuracy {scores['accuracy']:.3f}" in told
        assert f"(95% {low:.3f}–{high:.3f})" in told
        assert f"majority class {scores['majority_baseline']:.3f}" in told
        assert f"macro-F1 {scores['macro_f1']:.3f}" in told


def test_sheet_holds_the_most_confident_mistakes(predictions):
    figure = figures.misclassified(predictions)
    pairs = confusions(predictions)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    expected = [index for pair in pairs for index in pair.indexes[: figures.SHEET_COLUMNS]]
    assert len(shown) == len(expected)
    for image, index in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(image, predictions.images[index])
    found = texts(figure)
    for index in expected:
        name = predictions.paths[index].rpartition("/")[2]
        assert name in found
        assert f"{predictions.probabilities[index].max():.3f}" in found
    first = pairs[0]
    assert f"{CLASSES[first.true]} taken for {CLASSES[first.predicted]}" in found


def test_sheet_without_mistakes_says_so(make_predictions):
    right = make_predictions(n=8)
    perfect = Predictions(
        np.eye(4, dtype=np.float32)[right.labels], right.labels, right.paths, right.images
    )
    assert "No image was misclassified." in texts(figures.misclassified(perfect))


def test_sheet_draws_any_file_name(make_predictions):
    """Mathematics, other scripts, line breaks, bytes that are no text: no warning, no failure."""
    names = ("$\\frac{1$.jpg", "笑.jpg", "a\nb\t.jpg", "\udcff.jpg", "x" * 500, "", "/", "ü/é.jpg")
    pixels(figures.misclassified(make_predictions(n=40, paths=names * 5)))


@pytest.mark.parametrize(
    ("paths", "folder", "names"),
    [
        (["a/b/1.jpg", "a/b/2.jpg"], "a/b", ["1.jpg", "2.jpg"]),
        (["a/1.jpg", "b/1.jpg"], "", ["a/1.jpg", "b/1.jpg"]),
        (["1.jpg", "2.jpg"], "", ["1.jpg", "2.jpg"]),
    ],
)
def test_folder_and_names(paths, folder, names):
    assert figures.folder_and_names(paths) == (folder, names)

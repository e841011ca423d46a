"""The figures of a report: colours, texts, numbers and file names, and their behaviour on gaps."""

import functools
import io
import subprocess
import sys

import matplotlib.colors
import matplotlib.text
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions, compute_scores, find_confused_pairs
from faceemo.analysis.report.class_scores import draw_class_scores
from faceemo.analysis.report.confusion_matrix import draw_confusion_matrix
from faceemo.analysis.report.learning_curve import draw_learning_curve
from faceemo.analysis.report.misclassified import COLUMNS, WORST, draw_misclassified, draw_worst
from faceemo.analysis.report.reliability import draw_reliability_diagram
from faceemo.analysis.report.results import Results
from faceemo.analysis.theme import palette, style
from faceemo.config import CLASSES
from tests.analysis.theme.test_style import contrast

pytestmark = pytest.mark.slow


def pixels(figure):
    """Returns the saved figure, uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    style.save(figure, buffer)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure):
    """Returns every text of the figure."""
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def drawings(history, predictions, theme):
    scores = compute_scores(predictions)
    curve = functools.partial(draw_learning_curve, history, best_epoch=2, subtitle="s", theme=theme)
    yield curve("accuracy", baseline=0.4)
    yield curve("loss")
    yield draw_confusion_matrix(scores, subtitle="s", theme=theme)
    yield draw_class_scores(scores, subtitle="s", theme=theme)
    yield draw_misclassified(predictions, subtitle="s", theme=theme)


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_figures_use_the_paper_of_their_theme(history, predictions, theme):
    before = dict(matplotlib.rcParams)
    paper = tuple(bytes.fromhex(theme.paper[1:]))
    for figure in drawings(history, predictions, theme):
        image = pixels(figure)
        assert tuple(image[0, 0]) == paper
        assert 0.01 < (image != paper).any(axis=2).mean() < 0.9
    assert dict(matplotlib.rcParams) == before  # no global state is left behind


def test_pyplot_is_not_needed():
    code = (
        "import sys, faceemo.analysis.report.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_best_epoch_is_the_first_of_equals(history, predictions):
    def best_epoch(rows):
        return Results("validation", predictions, rows, {}).best_epoch

    assert best_epoch(history) == 2
    assert best_epoch([]) is None
    gap = {"epoch": 1, "validation/accuracy": float("nan")}
    assert best_epoch([gap]) is None
    assert best_epoch([gap, {"epoch": 2}, history[3]]) == 4


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_every_word_of_a_curve_is_readable(history, theme):
    figure = draw_learning_curve(
        history, "accuracy", best_epoch=2, subtitle="s", baseline=0.4, theme=theme
    )
    for text in figure.findobj(matplotlib.text.Text):
        assert isinstance(text, matplotlib.text.Text)
        if text.get_text():
            colour = matplotlib.colors.to_hex(text.get_color())
            assert contrast(colour, theme.paper) >= 4.5, text.get_text()


def test_curve_names_its_lines_best_epoch_and_baseline(history):
    figure = draw_learning_curve(
        history, "accuracy", best_epoch=2, subtitle="vgg16:7", baseline=0.367
    )
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
    pixels(draw_learning_curve(history[:1], measure, best_epoch=1, baseline=0.3))
    gap = {"epoch": 2, "train/accuracy": nan, "train/loss": nan}
    pixels(draw_learning_curve([history[0], gap, history[2]], measure, best_epoch=3))
    pixels(draw_learning_curve([gap], measure))


def test_matrix_shows_counts_and_shares_of_rows(predictions):
    confusion = [[90, 10, 0, 0], [0, 0, 0, 0], [5, 5, 10, 0], [0, 0, 0, 1234]]
    scores = compute_scores(predictions) | {"confusion": confusion}
    found = texts(draw_confusion_matrix(scores))
    for text in ("90", "90.0%", "10.0%", "25.0%", "50.0%", "1,234", "100.0%", "neutral\n0"):
        assert text in found
    assert found.count("–") == 4  # a class without images has no shares


def test_figures_of_scores_state_accuracy_and_majority_baseline(predictions):
    scores = compute_scores(predictions)
    measured = calibration.measure_before_and_after(predictions, None)
    low, high = scores["accuracy_interval"]
    for figure in (
        draw_confusion_matrix(scores, subtitle="vgg16:7 on test"),
        draw_class_scores(scores, subtitle="vgg16:7 on test"),
        draw_reliability_diagram(measured, scores, subtitle="vgg16:7 on test"),
    ):
        words = " ".join(" ".join(texts(figure)).split())
        assert f"vgg16:7 on test: accuracy {scores['accuracy']:.3f}" in words
        assert f"(95% {low:.3f}–{high:.3f})" in words
        assert f"majority class {scores['majority_baseline']:.3f}" in words
        assert f"macro-F1 {scores['macro_f1']:.3f}" in words


def test_misclassified_holds_the_most_confident_mistakes(predictions):
    figure = draw_misclassified(predictions)
    pairs = find_confused_pairs(predictions)
    shown = [image.get_array() for image in figure.axes[0].images]
    expected = [index for pair in pairs for index in pair.indexes[:COLUMNS]]
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


def test_misclassified_without_mistakes_says_so(make_predictions):
    right = make_predictions(n=8)
    perfect = Predictions(
        np.eye(4, dtype=np.float32)[right.labels], right.labels, right.paths, right.images
    )
    assert "No image was misclassified." in texts(draw_misclassified(perfect))


def test_misclassified_draws_any_file_name(make_predictions):
    """Mathematics, other scripts, line breaks and undecodable bytes do no harm."""
    names = ("$\\frac{1$.jpg", "笑.jpg", "a\nb\t.jpg", "\udcff.jpg", "x" * 500, "", "/", "ü/é.jpg")
    pixels(draw_misclassified(make_predictions(n=40, paths=names * 5)))


def test_worst_shows_the_greatest_losses_with_label_and_prediction(predictions):
    figure = draw_worst(predictions, subtitle="s")
    rows = np.arange(len(predictions.labels))
    true = predictions.probabilities[rows, predictions.labels]
    wrong = [i for i in np.argsort(true) if predictions.predicted[i] != predictions.labels[i]]
    assert len(wrong) > WORST
    (axes,) = figure.axes
    assert len(axes.images) == WORST
    found = texts(figure)
    assert f"s; {WORST} of {len(wrong)} misclassified, those of greatest loss" in found
    for image, index in zip(axes.images, wrong[:WORST], strict=True):
        np.testing.assert_array_equal(image.get_array(), predictions.images[index])
    captions = [text for text in found if text.startswith("true: ")]
    assert captions == [f"true: {CLASSES[predictions.labels[i]]}" for i in wrong[:WORST]]
    above = [found[found.index(caption) - 1] for caption in captions[:1]]
    first = wrong[0]
    name = CLASSES[predictions.predicted[first]]
    assert above == [f"{name} {predictions.probabilities[first].max():.2f}"]


def test_worst_of_none_and_of_few_fit_into_the_picture(make_predictions):
    few = make_predictions(n=8)
    perfect = Predictions(
        np.eye(4, dtype=np.float32)[few.labels], few.labels, few.paths, few.images
    )
    assert "No image was misclassified." in texts(draw_worst(perfect))
    number = int((few.predicted != few.labels).sum())
    assert f"{number} of {number} misclassified, the greatest loss first" in texts(draw_worst(few))


def test_curve_of_few_images_shows_how_far_chance_reaches(history):
    """The shaded lines are Wilson's intervals of each epoch; those of many images are short."""
    spans = []
    for images in (40, 4000):
        figure = draw_learning_curve(history, "accuracy", images=images)
        (shaded,) = figure.axes[0].collections
        assert isinstance(shaded, LineCollection)
        lower, upper = figure.axes[0].get_ylim()
        for row, line in zip(history, shaded.get_segments(), strict=True):
            right = round(row["validation/accuracy"] * images)
            low, high = proportion_confint(right, images, method="wilson")
            np.testing.assert_allclose(line, [[row["epoch"], low], [row["epoch"], high]])
            assert lower <= low
            assert high <= upper
        spans.append(np.ptp(shaded.get_segments()[0][:, 1]))
        assert any(f"{images:,} images" in text for text in texts(figure))
    assert spans[0] > 8 * spans[1]
    gap = {"epoch": 2}
    pixels(draw_learning_curve([history[0], gap, history[2]], "accuracy", images=40))

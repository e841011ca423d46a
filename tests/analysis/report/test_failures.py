"""The gallery: images of a cell and their order; the page, clicked through in Chromium."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, log_loss

from faceemo.analysis.predictions import Predictions
from faceemo.analysis.report import failures, report
from faceemo.analysis.report.failures import GalleryExtras
from faceemo.analysis.theme import palette
from faceemo.config import CLASSES
from tests.support import chromium

pytestmark = pytest.mark.slow


def heat(images, classes):
    """Returns maps of 3 x 3, greatest in the corner that the class's number selects."""
    maps = np.full((len(images), 3, 3), 0.25, np.float32)
    for row, number in enumerate(classes):
        maps[row, number // 2 * 2, number % 2 * 2] = 1
    return maps


def alpha(address):
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))[..., 3]


@pytest.fixture(scope="module")
def cells(predictions):
    scores = dict.fromkeys(predictions.paths[::2], 0.125)
    return failures.make_cells(predictions, GalleryExtras(scores, heat))


def test_cells_are_those_of_the_matrix_with_mistakes_first(cells, predictions):
    counts = confusion_matrix(predictions.labels, predictions.predicted)
    found = {(cell["true"], cell["predicted"]): cell["count"] for cell in cells}
    assert found == {
        (CLASSES[i], CLASSES[j]): counts[i, j] for i, j in np.argwhere(counts).tolist()
    }
    mistakes = [cell for cell in cells if cell["true"] != cell["predicted"]]
    assert cells[: len(mistakes)] == mistakes
    sizes = [cell["count"] for cell in mistakes]
    assert sizes == sorted(sizes, reverse=True)
    for cell in cells:
        assert cell["support"] == counts[CLASSES.index(cell["true"])].sum()


def test_images_are_in_order_of_loss_with_all_their_numbers(cells, predictions):
    place = {path: index for index, path in enumerate(predictions.paths)}
    exact = predictions.probabilities.astype(np.float64)
    for cell in cells:
        images = cell["images"]
        assert len(images) == min(cell["count"], 24)
        losses = [image["loss"] for image in images]
        assert losses == sorted(losses, reverse=True)
        for image in images:
            index = place[image["path"]]
            row = exact[index : index + 1] / exact[index].sum()
            label = predictions.labels[index]
            assert image["loss"] == pytest.approx(log_loss([label], row, labels=range(4)), rel=1e-5)
            assert image["probability"] == predictions.probabilities[index].max()
            assert image["true_probability"] == predictions.probabilities[index, label]
            assert image["label_score"] == (0.125 if index % 2 == 0 else None)
            assert image["path"].endswith(image["name"])
            opaque = alpha(image["heat"])
            number = predictions.predicted[index]
            assert np.unravel_index(opaque.argmax(), (3, 3)) == (number // 2 * 2, number % 2 * 2)
            assert opaque.max() < 200, "the face stays visible"


def test_a_page_stays_small_with_many_classes():
    """With 7 classes and 20,000 images, at most 400 are shown."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(7), 20_000).astype(np.float32)
    many = Predictions(
        probabilities, rng.integers(0, 7, 20_000).astype(np.int32),
        tuple(map(str, range(20_000))), np.zeros((20_000, 48, 48), np.uint8),
        tuple("abcdefg"),
    )  # fmt: skip
    shown = [len(cell["images"]) for cell in failures.make_cells(many, GalleryExtras())]
    assert len(shown) == 49
    assert set(shown) == {8}


@pytest.fixture(scope="module")
def complete_page(tmp_path_factory, predictions):
    folder = tmp_path_factory.mktemp("failures") / "validation"
    extras = GalleryExtras(dict.fromkeys(predictions.paths, 0.125), heat)
    return report.write(
        folder, split="validation", predictions=predictions, history=[], summary={}, extras=extras
    )


SHOWN = "[...document.querySelectorAll('.cell')].filter(e => e.offsetParent).map(e => e.id)"


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_a_click_on_a_cell_shows_its_images(complete_page, predictions, tmp_path, width, dark):
    counts = confusion_matrix(predictions.labels, predictions.predicted)
    with chromium.open_page(tmp_path / "profile") as page:
        page.open(complete_page, width=width, dark=dark)
        theme = palette.DARK if dark else palette.LIGHT
        paper = "rgb({}, {}, {})".format(*bytes.fromhex(theme.paper[1:]))
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
        source = page.evaluate("document.querySelector('#calibration img').currentSrc")
        corner = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")
        assert corner.getpixel((0, 0)) == tuple(bytes.fromhex(theme.paper[1:])), (
            "figures are dark too"
        )
        off = counts * (1 - np.eye(4, dtype=int))
        assert page.evaluate(SHOWN) == [
            failures.cell_id(*np.unravel_index(off.argmax(), off.shape))
        ], "the most frequent mistake, before any click"
        for true, predicted in np.argwhere(counts).tolist():
            name = failures.cell_id(true, predicted)
            page.evaluate(f"document.querySelector('.matrix a[href=\"#{name}\"]').click()")
            assert page.evaluate(SHOWN) == [name]
            shown = f"document.querySelector('#{name}').innerText"
            assert f"predicted {CLASSES[predicted]}" in page.evaluate(shown)
            assert "label score 0.125" in page.evaluate(shown)
            faces = f"document.querySelectorAll('#{name} figure').length"
            assert page.evaluate(faces) == min(counts[true, predicted], 24)
            marked = f"getComputedStyle(document.querySelector('.matrix a[href=\"#{name}\"]'))"
            assert page.evaluate(f"{marked}.outlineStyle") == "solid"
            top = f"document.querySelector('#{name}').getBoundingClientRect().top"
            assert 0 <= page.evaluate(top) < 900, "in sight after the click"
        heated = "[...document.querySelectorAll('.heat')].filter(e => e.offsetParent).length"
        assert page.evaluate(heated) > 0
        page.evaluate("document.querySelector('#heat').click()")
        assert page.evaluate(heated) == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.console_errors == []
        assert {a for a in page.requests if not a.startswith("data:")} == {complete_page.as_uri()}


def test_without_maps_there_is_no_switch(tmp_path, make_predictions):
    path = report.write(
        tmp_path / "r", split="test", predictions=make_predictions(n=12), history=[], summary={}
    )
    assert "Grad-CAM" not in path.read_text("utf-8")

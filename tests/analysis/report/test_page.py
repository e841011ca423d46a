"""What the report's page says and shows."""

import base64
import csv
import dataclasses
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import special

from faceemo.analysis import calibration, slices
from faceemo.analysis.predictions import compute_scores
from faceemo.analysis.report import figures
from faceemo.analysis.report.failures import GalleryExtras
from tests.support.analysis.report_page import Page, write

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert('1')</script>/\"onerror=\"x' $a$ &amp; \udcff,笑.jpg"


def decode(uri):
    return base64.b64decode(uri.removeprefix("data:image/png;base64,"), validate=True)


def test_every_figure_is_a_file_and_the_page_shows_those_with_a_section(written):
    """A new row of the table is tested too: its section must exist and its file must be written."""
    folder, tags = written.parent, Page(written).tags
    assert {path.stem for path in folder.glob("*.png")} == set(figures.FIGURES)
    sections = {attributes.get("id") for tag, attributes in tags if tag == "section"}
    pictures, section, dark = {}, None, b""
    for tag, attributes in tags:
        if tag == "section":
            section = attributes.get("id")
        elif tag == "source":
            dark = decode(attributes["srcset"])
        elif tag == "img" and pictures.get(section) is not None:
            pictures[section].append((decode(attributes["src"]), dark, attributes["alt"]))
        if tag == "picture":
            pictures.setdefault(section, [])
    expected = {}
    for name, row in figures.FIGURES.items():
        if row.section:
            assert row.section in sections
            assert row.alt
            expected.setdefault(row.section, []).append(
                ((folder / f"{name}.png").read_bytes(), row.alt)
            )
    assert {key: [(light, alt) for light, _, alt in rows] for key, rows in pictures.items()} == (
        expected
    )
    for light, dark, _ in (row for rows in pictures.values() for row in rows):
        corner: list[Any] = [
            Image.open(io.BytesIO(png)).convert("L").getpixel((0, 0)) for png in (light, dark)
        ]
        assert corner[0] == 255
        assert corner[1] < 50


def test_a_new_row_is_a_new_file_and_a_new_picture(tmp_path, few, monkeypatch):
    row = figures.FIGURES["reliability"]._replace(alt="another figure")
    monkeypatch.setitem(figures.FIGURES, "another", row)
    page = Page(write(tmp_path / "r", few, []))
    assert (tmp_path / "r" / "another.png").is_file()
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert alts.count("another figure") == 1


def test_page_needs_nothing_else(written):
    """The page has no outside address and no script, and every image in it can be decoded."""
    text = written.read_text("utf-8")
    around = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<iframe", around)
    images = 0
    for tag, attributes in Page(written).tags:
        for name in ("src", "srcset", "href"):
            address = attributes.get(name)
            if address is None:
                continue
            assert re.match(r"data:image/png;base64,|#", address), (tag, address[:80])
            if address.startswith("data:"):
                data = base64.b64decode(address.partition(",")[2], validate=True)
                Image.open(io.BytesIO(data)).load()
                images += 1
    assert images > 4


def test_alternative_texts_describe_images_on_the_page(written):
    alts = [attributes["alt"] for tag, attributes in Page(written).tags if tag == "img"]
    assert any("reliability" in alt for alt in alts)
    assert not [alt for alt in alts if re.search(r"\.(json|csv|txt|png)\b", alt)]


def test_links_of_the_matrix_lead_somewhere(written):
    tags = Page(written).tags
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = {attributes["href"][1:] for tag, attributes in tags if tag == "a"}
    assert len(links) > 4
    assert links <= ids


def list_sections(page):
    """Returns (id, heading) of the page's sections, in order."""
    text = page.read_text("utf-8")
    return re.findall(r'<section id="([^"]+)">\s*<h2>([^<]+)</h2>', text)


@pytest.mark.usefixtures("plain_figures")
def test_the_contents_list_the_sections_that_the_page_has(written, tmp_path, few):
    bare = write(tmp_path / "r", few, [], summary={})
    for page in (written, bare):
        text = page.read_text("utf-8")
        (contents,) = re.findall(r"<nav.*?</nav>", text, re.DOTALL)
        links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', contents)
        assert links == list_sections(page)
        assert len(links) == text.count("<h2>")
    assert [heading for _, heading in list_sections(bare)] == [
        *("Scores per class", "Confusion matrix", "Calibration")
    ]


def test_page_shows_the_numbers(written, predictions):
    scores = compute_scores(predictions)
    text = " ".join(Page(written).text.split())
    low, high = scores["accuracy_interval"]
    assert f"Accuracy {scores['accuracy']:.3f}" in text.replace("Accuracy0", "Accuracy 0")
    assert f"{low:.3f}–{high:.3f}" in text
    assert f"{scores['majority_baseline']:.3f}" in text
    assert f"always predicting {scores['majority_class']}" in text
    assert "vgg16:7 on validation" in text
    assert "134,276,932" in text
    assert "1991921" in text  # a seed has no thousands
    assert "3, best" in text
    assert "drawings" not in text


@pytest.mark.usefixtures("plain_figures")
def test_slices_and_temperature_are_shown_and_stored(tmp_path, predictions):
    grouping = slices.Grouping("age", "Given by the user.", ("young", "old") * 60, ("young", "old"))
    alone = slices.Grouping("leaks", "Twins in train.", ("not leaked",) * 120, ("not leaked",))
    found = slices.score_slices(predictions, [grouping, alone])
    fitted = {"temperature": 1.5, "fitted_on": "validation"}
    path = write(tmp_path / "r", predictions, [], split="test", slices=found, fitted=fitted)
    text = " ".join(Page(path).text.split())
    for row in found[0]["slices"]:
        low, high = row["interval"]
        assert f"{row['name']}{row['images']}{row['accuracy']:.3f}{low:.3f}–{high:.3f}" in text
    assert json.loads((path.parent / "slices.json").read_text()) == found
    assert "Leaks: all 120 images: not leaked. Twins in train." in text
    assert path.read_text("utf-8").count('<table class="slices">') == 1, "none of one row"
    assert "1.500 was fitted for the least loss on validation, which is another split" in text
    stored = json.loads((path.parent / "calibration.json").read_text())
    assert stored == calibration.measure_before_and_after(predictions, fitted)
    assert f"{stored['before']['ece']:.3f} → {stored['after']['ece']:.3f}" in text
    assert not re.search(r"<th\b[^>]*>\s*</th>", path.read_text("utf-8")), "a heading has words"
    for when in ("before", "after"):
        for row in stored[when]["bins"]:
            numbers = f"{row['confidence']:.3f}{row['images']}{row['accuracy']:.3f}"
            assert f"{row['low']:.2f}–{row['high']:.2f}{numbers}" in text
    flattering = write(tmp_path / "v", predictions, [], fitted=fitted)
    assert "these very images" in Page(flattering).text
    assert "has no temperature" in Page(write(tmp_path / "n", predictions, [])).text


def test_hostile_text_is_text(tmp_path, make_predictions):
    predictions = make_predictions(n=60, paths=(HOSTILE,) * 60)
    summary = {"arch": HOSTILE, HOSTILE: "x", "config": {HOSTILE: HOSTILE}}
    path = write(tmp_path / "r", predictions, [], summary=summary, split=HOSTILE)
    page = Page(path)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(
        name.startswith("on") and name != "on" for _, attributes in page.tags for name in attributes
    )
    shown = HOSTILE.replace("\udcff", r"\xff")
    assert page.text.count(shown) > 5
    assert any(attributes.get("title") == shown for _, attributes in page.tags)
    with (path.parent / "predictions.csv").open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [shown] * 60


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize("summary", [{"dataset": "sample"}, {"config": {"dataset": "sample"}}])
def test_drawings_are_called_drawings(tmp_path, few, summary):
    path = write(tmp_path / "r", few, [], summary=summary)
    assert "The images are drawings, not photographs." in Page(path).text
    assert "drawings" in (path.parent / "classification_report.txt").read_text()


@pytest.mark.usefixtures("plain_figures")
def test_an_image_has_the_probability_that_predict_gives_and_the_name_in_its_source(
    tmp_path, make_predictions
):
    """`faceemo predict` divides the logits by the temperature; here SciPy does so."""
    plain = make_predictions(n=16)
    names = tuple(f"mine/face{place}.jpg" for place in range(16))
    predictions = dataclasses.replace(plain, names=names)
    fitted = {"temperature": 2.5, "fitted_on": "validation"}
    extras = GalleryExtras(named_in="photos.zip")
    path = write(tmp_path / "r", predictions, [], fitted=fitted, extras=extras)
    expected = special.softmax(np.log(plain.probabilities.astype(np.float64)) / 2.5, axis=1)
    page = Page(path)
    text = " ".join(page.text.split())
    captions = re.findall(r"predicted [a-z]+ (0\.\d+).*?(face\d+)\.jpg", text)
    assert {name: number for number, name in captions} == {
        f"face{place}": f"{row.max():.3f}" for place, row in enumerate(expected)
    }
    assert "calibrated: faceemo predict gives the same" in text
    assert "Images are named by their paths in photos.zip." in text
    titles = {attributes["title"] for _, attributes in page.tags if "title" in attributes}
    assert titles == set(names)
    with (path.parent / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stored = [[float(row[name]) for name in plain.classes] for row in rows]
    np.testing.assert_allclose(stored, expected, atol=1e-6)
    assert [(row["path"], row["source_path"]) for row in rows] == list(
        zip(plain.paths, names, strict=True)
    )


@pytest.mark.usefixtures("plain_figures")
def test_a_calibration_error_that_rises_is_explained(tmp_path, few):
    """A temperature far from the best one raises the error; one of 1 leaves it."""
    for temperature, explained in ((20.0, True), (1.0, False)):
        fitted = {"temperature": temperature, "fitted_on": "train"}
        path = write(tmp_path / str(temperature), few, [], fitted=fitted)
        before, after = (json.loads((path.parent / "calibration.json").read_text())[when]["ece"]
                         for when in ("before", "after"))  # fmt: skip
        assert (after > before) is explained
        assert ("Here the ECE rose" in Page(path).text) is explained

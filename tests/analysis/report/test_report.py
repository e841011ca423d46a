import base64
import csv
import html.parser
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis import calibration, slices
from faceemo.analysis.predictions import classification_report, compute_scores
from faceemo.analysis.report import figures, report
from faceemo.config import CLASSES
from faceemo.errors import UserError

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert('1')</script>/\"onerror=\"x' $a$ &amp; \udcff,笑.jpg"
SUMMARY = {
    "arch": "vgg16",
    "variant": 7,
    "majority_baseline": 0.367,
    "params_total": 134276932,
    "seed": 1991921,
    "config": {"dataset": "folder", "learning_rate": 1e-5, "extra_dense": True},
    "versions": {"jax": "0.10.2"},
}


def write(folder, predictions, history, **changes):
    arguments = {"split": "validation", "history": history, "summary": SUMMARY} | changes
    return report.write(folder, predictions=predictions, **arguments)


@pytest.fixture(scope="module")
def few(make_predictions):
    """Returns few predictions that still confuse several pairs."""
    return make_predictions(n=16)


class Page(html.parser.HTMLParser):
    """A page's tags with their attributes, and its visible text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self._style = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        if not self._style:
            self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory, predictions):
    rows = [
        {"epoch": epoch, "train/loss": 1.0, "train/accuracy": 0.5, "validation/loss": 1.0,
         "validation/accuracy": epoch / 10, "seconds": 1.0, "images_per_second": 9.0}
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    return write(tmp_path_factory.mktemp("run") / "validation", predictions, rows)


def test_report_holds_every_file(written):
    assert sorted(path.name for path in written.parent.iterdir()) == sorted(report.FILES)
    assert [path.name for path in written.parent.parent.iterdir()] == ["validation"]
    for path in written.parent.glob("*.png"):
        image = np.asarray(Image.open(path).convert("L"))
        assert image.std() > 1, path


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


def test_files_agree_with_the_predictions(written, predictions):
    folder = written.parent
    assert json.loads((folder / "scores.json").read_text()) == compute_scores(predictions)
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["path"] for row in rows) == predictions.paths
    assert [CLASSES.index(row["label"]) for row in rows] == predictions.labels.tolist()
    assert [CLASSES.index(row["predicted"]) for row in rows] == predictions.predicted.tolist()
    back = np.array([[row[name] for name in CLASSES] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(back, predictions.probabilities)
    assert classification_report(predictions) in (folder / "classification_report.txt").read_text(
        "utf-8"
    )


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


@pytest.mark.parametrize("summary", [{"dataset": "sample"}, {"config": {"dataset": "sample"}}])
def test_drawings_are_called_drawings(tmp_path, few, summary):
    path = write(tmp_path / "r", few, [], summary=summary)
    assert "The images are drawings, not photographs." in Page(path).text
    assert "drawings" in (path.parent / "classification_report.txt").read_text()


def test_without_a_history_there_are_no_curves(tmp_path, few):
    path = write(tmp_path / "r", few, [], summary={})
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == set(report.FILES) - {"accuracy.png", "loss.png"}
    assert "Training" not in Page(path).text


def test_curve_shows_the_baseline_of_validation_on_every_split(tmp_path, few, history, monkeypatch):
    drawn = []
    draw = figures.draw_learning_curve
    monkeypatch.setattr(
        figures,
        "draw_learning_curve",
        lambda *a, **k: drawn.append(k.get("baseline")) or draw(*a, **k),
    )
    write(tmp_path / "a", few, history, split="test")
    assert set(drawn) == {0.367, None}  # accuracy, loss
    drawn.clear()
    write(tmp_path / "b", few, history, split="test", summary={})
    assert set(drawn) == {None}


@pytest.mark.parametrize(
    ("figure", "interruption"), [("misclassified", KeyboardInterrupt), ("accuracy", OSError)]
)
def test_interrupted_write_leaves_the_older_report(
    tmp_path, few, history, monkeypatch, figure, interruption
):
    path = write(tmp_path / "r", few, history)
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}

    def interrupt(*_, **__):
        raise interruption

    with monkeypatch.context() as patch:
        patch.setitem(figures.FIGURES, figure, figures.ReportFigure(interrupt))
        with pytest.raises(interruption):
            write(tmp_path / "r", few, history, split="test")
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]
    write(tmp_path / "r", few, history, split="test")
    assert "on test" in path.read_text("utf-8")


def test_new_report_leaves_nothing_of_the_older_one(tmp_path, few, history):
    write(tmp_path / "r", few, history)
    path = write(tmp_path / "r", few, [])
    assert not (path.parent / "loss.png").exists()


def test_other_files_are_never_replaced(tmp_path, few):
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="found checkpoints"):
        write(workdir, few, [])
    assert (workdir / "checkpoints").is_dir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="found a file"):
        write(tmp_path / "file", few, [])
    assert (tmp_path / "file").read_text() == "mine"


def test_same_inputs_give_the_same_page(tmp_path, few, history):
    pages = [write(tmp_path / name, few, history).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]

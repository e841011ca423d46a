"""The page about a dataset: its numbers against the files and the ledger, its safety, its look."""

import base64
import collections
import hashlib
import html.parser
import io
import json
import re
import shutil

import imagehash
import numpy as np
import pytest
from PIL import Image

from faceemo.analysis import charts, exploration, looks
from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, prepare, sample, tables
from tests import chromium

COUNTS = {"train": 24, "validation": 12, "test": 8}
SEED = 3


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    root = tmp_path_factory.mktemp("unpacked")
    sample.write_zip(root, 5, COUNTS)
    prepare.prepare(root, last="unpack")
    exploration.write(root, SEED)
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    sample.write_zip(root, 5, COUNTS)
    prepare.prepare(root)
    exploration.write(root, SEED)
    return root


def opened(path):
    """A file as Pillow sees it; from memory, so that a truncated one leaves nothing open."""
    return Image.open(io.BytesIO(path.read_bytes()))


class Page(html.parser.HTMLParser):
    """Visible text, images' addresses, and tables as lists of rows."""

    def __init__(self, root):
        super().__init__()
        self.text, self.addresses, self.rows, self.ids, self.links = "", [], [], set(), set()
        self._style = self._cell = False
        self.feed((root / exploration.NAME).read_text("utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [attributes[n] for n in ("src", "srcset") if n in attributes]
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        self.links |= {attributes["href"]} if "href" in attributes else set()
        self._style = tag == "style"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._style = False
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data):
        if not self._style:
            self.text += data
            if self._cell:
                self.rows[-1][-1] += data.strip()

    def section(self, start, end):
        return self.text[self.text.index(start) : self.text.index(end)]


def booked(root):
    """The ledger without the code that reads it."""
    return [json.loads(line) for line in (root / "ledger.jsonl").read_text().splitlines()]


def expected_table(root, columns):
    """Rows of the table of counts, from counters by stage."""

    def row(name, splits, labels):
        return [name, *(f"{sum(c[s, x] for s in splits for x in labels):,}" for c in columns)]

    rows = []
    for split in SPLITS:
        rows.append(row(split, [split], CLASSES))
        rows += [row(label, [split], [label]) for label in CLASSES]
    return [*rows, row("all", SPLITS, CLASSES)]


def of_files(folder):
    return collections.Counter(path.parts[-3:-1] for path in folder.glob("*/*/*"))


def test_counts_are_those_of_the_folders(prepared):
    """Each stage's numbers equal the files that it left on disk, counted by themselves."""
    stages = [
        of_files(prepared / folder)
        for folder in (archive.FOLDER, "face_detection/high_confidence_images", "unique_images")
    ]
    assert Page(prepared).rows[2:] == expected_table(prepared, stages)
    totals = [stage.total() for stage in stages]
    assert totals[0] > totals[1] > totals[2]


def test_fates_and_shares_are_the_ledgers(prepared):
    rows, page = booked(prepared), Page(prepared)
    kept = sum(row["fate"] == "kept" for row in rows)
    assert f"Kept{kept:,}{kept / len(rows):.1%} of all" in page.text
    assert f"Left out{len(rows) - kept:,}" in page.text
    fates = collections.Counter(row["fate"] for row in rows)
    gone = page.section("Left out, and why", "Made by")
    for fate, words in (
        ("no_face", "No face"),
        ("unreadable", "Unreadable"),
        ("duplicate", "Duplicate"),
        ("conflict", "Conflicting labels"),
    ):
        assert f"{words} {fates[fate]:,} images" in gone
    costs = page.section("What cleaning costs", "Leaks between")
    for split in SPLITS:
        for label in CLASSES:
            here = [row for row in rows if (row["split"], row["label"]) == (split, label)]
            lost = sum(row["fate"] != "kept" for row in here) / len(here)
            assert f"{label} {lost:.1%}" in costs
    low = collections.Counter(row["label"] for row in rows if (row["face_confidence"] or 1) <= 0.5)
    assert ", ".join(f"{label} {low[label]}" for label in CLASSES) in page.text


def test_leaks_are_those_of_the_files(prepared):
    """Counted from the images themselves: bytes, and imagehash's dHash, before and after."""

    def twins(folder, searched, other, measure):
        def of(split):
            found = collections.defaultdict(list)
            for path in (prepared / folder / split).glob("*/*"):
                try:
                    found[measure(path)].append(path.parent.name)
                except OSError:  # the truncated ones have no hash
                    continue
            return found

        here, there = of(searched), of(other)
        return collections.Counter(x for key in here if key in there for x in here[key])

    text = Page(prepared).section("Leaks between the splits", "Left out, and why")
    for pair, end in (("validation in train", "test in train"), ("test in train", "test in val")):
        searched, other = pair.split(" in ")
        part = text[text.index(pair) : text.index(end)]
        for label in CLASSES:
            said = re.search(
                rf"{label} of \d+ same bytes ?(\d+) → (\d+).*? same dHash ?(\d+) → (\d+)", part
            )
            assert said is not None
            bytes_, hashes = (
                [twins(folder, searched, other, measure)[label]
                 for folder in (archive.FOLDER, "unique_images")]
                for measure in (lambda path: hashlib.sha256(path.read_bytes()).hexdigest(),
                                lambda path: str(imagehash.dhash(opened(path))))
            )  # fmt: skip
            assert [int(number) for number in said.groups()] == [*bytes_, *hashes]


def test_originals_numbers_stand_beside_photographs_only(prepared, unpacked, tmp_path):
    assert "original" not in Page(prepared).text
    root = tmp_path / "photographs"
    shutil.copytree(unpacked, root)
    (root / sample.MANIFEST_NAME).unlink()
    exploration.write(root, SEED)
    cells = [row[2] for row in Page(root).rows[2:-1]]
    published = [
        number
        for of_class in tables.ORIGINAL["unpack"].values()
        for number in (sum(of_class.values()), *of_class.values())
    ]
    assert cells == [f"{number:,}" for number in published]


def test_what_is_not_done_is_said_to_be_missing(unpacked, prepared, tmp_path):
    page = Page(unpacked)
    assert "Not done yet: screening for faces (python scripts/detect_faces.py)" in page.text
    assert page.rows[2:] == expected_table(unpacked, [of_files(unpacked / archive.FOLDER)])
    for absent in ("What cleaning costs", "Leaks between", "Kept", "The face detector"):
        assert absent not in page.text
    assert "Not done yet" not in Page(prepared).text
    # A ledger about other images says nothing about these.
    root = tmp_path / "other"
    shutil.copytree(prepared, root)
    next((root / archive.FOLDER / "train" / "sad").iterdir()).unlink()
    exploration.write(root, SEED)
    assert Page(root).text.count("Not done yet") == 1
    assert "What cleaning costs" not in Page(root).text


def test_page_needs_nothing_else(prepared):
    page = Page(prepared)
    text = (prepared / exploration.NAME).read_text("utf-8")
    around = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<iframe", around)
    assert {f"#{name}" for name in page.ids} == page.links
    assert len(page.addresses) > 150
    for address in page.addresses:
        data = base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)
        Image.open(io.BytesIO(data)).load()


def test_same_inputs_give_the_same_page_and_the_seed_draws(prepared, tmp_path):
    first = (prepared / exploration.NAME).read_bytes()
    again = exploration.write(prepared, SEED, path=tmp_path / "again.html")
    other = exploration.write(prepared, SEED + 1, path=tmp_path / "other.html")
    assert again.read_bytes() == first
    assert other.read_bytes().replace(b"seed 4", b"seed 3") != first


def test_file_names_are_text(unpacked, tmp_path):
    root = tmp_path / "hostile"
    shutil.copytree(unpacked, root)
    name = "<script>alert('1')<&\"onerror=\"x'.jpg"
    image = next((root / archive.FOLDER / "test" / "sad").iterdir())
    for old in (root / archive.FOLDER / "test" / "sad").iterdir():
        old.rename(old.with_name(f"{old.stem}{name}"))
    assert not image.exists()
    exploration.write(root, SEED)
    text = (root / exploration.NAME).read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script" in text


def test_looks_agree_with_pillow(unpacked):
    folder = unpacked / archive.FOLDER
    paths = tuple(archive.hashes(folder))
    measured = looks.measure(folder, paths)
    seen = collections.defaultdict(list)
    for path, brightness, contrast in zip(
        paths, measured.brightness, measured.contrast, strict=True
    ):
        try:
            grey = np.asarray(opened(folder / path).convert("L"), np.float64)
        except OSError:
            assert np.isnan(brightness)
            continue
        # two decoders may differ by a level here and there
        assert abs(grey.mean() - brightness) < 0.5
        assert abs(grey.std() - contrast) < 0.5
        seen[path.split("/")[1]].append(grey)
    for label in CLASSES:
        assert np.abs(np.mean(seen[label], axis=0) - measured.mean_faces[label]).max() < 1


def test_ridges_have_equal_areas_and_true_medians():
    rng = np.random.default_rng(0)
    values = {
        "few": rng.normal(100, 20, 50),
        "many": rng.normal(150, 40, 5000),
        "none": np.array([]),
    }
    values["few"][:5] = np.nan
    rows, _ = charts.ridges(values, exploration._BRIGHTNESS)

    def area(row):
        heights = [100 - float(point.split(",")[1]) for point in row.points.split()[1:-1]]
        assert min(heights) >= 0
        assert max(heights) <= 100
        return sum(heights)

    few, many, none = rows
    assert area(few) == pytest.approx(area(many), rel=0.01)
    assert (few.count, many.count, none.count) == (45, 5000, 0)
    assert (area(none), none.median) == (0, None)
    assert many.middle == pytest.approx(100 * np.median(values["many"]) / 255)


def test_confidence_scale_spreads_both_ends():
    places = {words: place for place, words in exploration._CONFIDENCE.marks()}
    assert list(places) == [".01", ".1", ".5", ".9", ".99", ".999", ".9999"]
    assert places[".99"] - places[".9"] == pytest.approx(places[".1"] - places[".01"])
    assert exploration._CONFIDENCE.place(np.array([0.0, 1.0])).tolist() == [0, 100]


@pytest.mark.parametrize(("share", "end"), [(0.237, 0.3), (0.3, 0.3), (0.0, 0.001), (0.011, 0.02)])
def test_ceiling_is_round_and_above(share, end):
    assert charts.ceiling([share]) == pytest.approx(end)


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_chromium_has_nothing_to_complain_about(prepared, unpacked, tmp_path):
    """No error, no request but for the page, nothing wider than the screen, light and dark."""
    with chromium.page(tmp_path / "profile") as page:
        papers = set()
        for root in (unpacked, prepared):
            for width in (360, 1200):
                for dark in (False, True):
                    page.open(root / exploration.NAME, width=width, dark=dark)
                    assert page.evaluate("document.documentElement.scrollWidth") == width
                    broken = "[...document.images].filter(i => !i.naturalWidth).length"
                    assert page.evaluate(broken) == 0
                    papers.add(
                        (dark, page.evaluate("getComputedStyle(document.body).backgroundColor"))
                    )
        assert page.trouble == []
        assert {a for a in page.requests if not a.startswith("data:")} == {
            (root / exploration.NAME).as_uri() for root in (unpacked, prepared)
        }
    assert len(papers) == 2


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_chromium_test_would_see_trouble(tmp_path):
    """The test above is worth something: this page has an error and a request."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>throw new Error('no')</script>")
    with chromium.page(tmp_path / "profile") as page:
        page.open(bad)
        assert len(page.trouble) == 2
        assert any("127.0.0.1" in address for address in page.requests)

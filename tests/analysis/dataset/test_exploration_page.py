"""The page about a dataset: self-contained, safe, reproducible, and without errors in a browser."""

import base64
import io
import re
import shutil

import pytest
from PIL import Image

from faceemo.analysis.dataset import exploration
from faceemo.data.source import archive
from tests.support import chromium
from tests.support.analysis.exploration_page import SEED, Page, read_ledger_lines

pytestmark = pytest.mark.slow


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


def test_same_inputs_give_the_same_page_and_another_seed_other_images(prepared, tmp_path):
    first = (prepared / exploration.NAME).read_bytes()
    again = exploration.write(prepared, SEED, path=tmp_path / "again.html", include_test=True)
    other = exploration.write(prepared, SEED + 1, path=tmp_path / "other.html", include_test=True)
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
    exploration.write(root, SEED, include_test=True)
    text = (root / exploration.NAME).read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script" in text


def test_file_names_that_are_not_utf_8_are_escaped(unpacked, tmp_path):
    root = tmp_path / "latin"
    shutil.copytree(unpacked, root)
    for old in (root / archive.FOLDER / "train" / "sad").iterdir():
        old.rename(old.with_name(f"{old.stem}caf\udce9.jpg"))
    exploration.write(root, SEED)
    page = Page(root)
    assert page.titles
    assert any(r"caf\xe9.jpg" in title for title in page.titles)


def test_the_test_split_is_counted_and_not_shown_unless_asked_for(prepared, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(prepared, root)
    shown = {title.split(":")[0] for title in Page(root).titles}
    exploration.write(root, SEED)
    page = Page(root)
    assert any(title.startswith("test/") for title in shown)
    assert not [title for title in page.titles if title.startswith("test/")]
    tests = len(list((root / archive.FOLDER / "test").glob("*/*")))
    assert f"None of its {tests} images is on this page" in page.text
    assert f"test {tests}" in page.section("Counts and shares", "Random samples")
    # nothing is measured there either: other test images give the same page, apart from the ledger
    changed = tmp_path / "changed.html"
    for path in (root / archive.FOLDER / "test").glob("*/*"):
        path.write_bytes(b"not an image")
    hashes = {row["path"]: row["sha256"] for row in read_ledger_lines(root)}
    exploration.write(root, SEED, hashes, changed)
    assert changed.read_bytes() == (root / exploration.NAME).read_bytes()


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_page_has_no_error_in_chromium(prepared, unpacked, tmp_path):
    """No error, no request except the page, and nothing wider than the screen, light and dark."""
    with chromium.open_page(tmp_path / "profile") as page:
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
        assert page.console_errors == []
        assert {a for a in page.requests if not a.startswith("data:")} == {
            (root / exploration.NAME).as_uri() for root in (unpacked, prepared)
        }
    assert len(papers) == 2


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_chromium_reports_errors_and_requests(tmp_path):
    """The test above can fail: this page has an error and a request."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>throw new Error('no')</script>")
    with chromium.open_page(tmp_path / "profile") as page:
        page.open(bad)
        assert len(page.console_errors) == 2
        assert any("127.0.0.1" in address for address in page.requests)

"""The demo with several photographs, telephones' photographs, large ones and films."""

import csv
import io
import threading
import time

import pytest

from faceemo.inference import formats
from tests.support import chromium
from tests.support.inference.demo import CLICK, FACES, PROBLEM, STATUS

pytestmark = [
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine"),
    pytest.mark.slow,
]
TEXTS = "[...document.querySelectorAll('{}')].map(e => e.innerText)"
PHOTO = "(p => p.naturalWidth / p.naturalHeight)(document.querySelector('#photo'))"
# Keeps what is saved, as a download leaves the page.
RECORD = (
    "window.saved = []; const make = URL.createObjectURL; "
    "URL.createObjectURL = blob => (saved.push(blob), make.call(URL, blob))"
)


def select(page, index):
    page.evaluate(f"document.querySelectorAll('.entry')[{index}].click()")


def read_saved(page):
    """Returns the text of what was saved last."""
    page.evaluate("window.text = null; saved.at(-1).text().then(text => { window.text = text; })")
    return page.wait("window.text")


def test_several_photographs_are_answered_and_saved_as_csv(page, files, predictor, tmp_path):
    names = ["photo.png", "wall.png", "notes.jpg", "telephone.heic"]
    page.evaluate(RECORD)
    page.choose_file("#file", *(files / name for name in names))
    page.wait("document.querySelector('#overall').textContent === '4 of 4 answered'")
    assert page.evaluate(TEXTS.format(".entry .name")) == names
    facts = page.evaluate(TEXTS.format(".entry .fact"))
    assert facts == ["2 faces", "no face", "cannot be used", "2 faces"]
    assert page.evaluate(FACES) == 2, "the first of them is shown"
    select(page, 2)
    assert "notes.jpg" in page.wait(PROBLEM)
    assert page.evaluate(FACES) == 0
    select(page, 1)
    page.wait(f"{STATUS}.startsWith('No face')")
    assert page.evaluate(PROBLEM) is None
    select(page, 3)
    page.wait(f"{FACES} === 2")
    page.wait(f"{PHOTO} === 2")  # Chromium cannot show HEIC: this is the server's picture

    page.evaluate(CLICK.format("#save"))
    found = list(csv.DictReader(io.StringIO(read_saved(page))))
    stream = io.StringIO()
    writer = formats.Writer("csv", predictor.classes, stream)
    writer.write(predictor.predict([files / name for name in names]))
    expected = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert len(found) == len(expected) == 6
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name, text in other.items():
            if name in ("problem", "reason"):
                assert bool(row[name]) == bool(text)
            elif name == "name":
                assert row[name] == text.rpartition("/")[2]
            elif name in ("status", "label", "leaning", "index") or not text:
                assert row[name] == text, name
            else:
                assert float(row[name]) == pytest.approx(float(text), rel=1e-4, abs=1e-6), name
    page.evaluate(CLICK.format("#remove"))
    assert page.evaluate("document.querySelectorAll('.entry').length") == 0
    assert page.evaluate("document.querySelector('#drop-hint').hidden") is False


def test_each_answer_has_its_thumbnail_and_the_number_of_its_frame(page):
    page.evaluate(CLICK.format('[data-address="/examples/three.png"]'))
    page.wait(f"{FACES} === 3")
    assert page.evaluate(TEXTS.format(".number")) == ["1", "2", "3"]
    boxes = page.evaluate(TEXTS.format(".box"))
    assert [text.split()[0] for text in boxes] == ["1", "2", "3"]
    page.wait("[...document.querySelectorAll('.thumbnail')].every(i => i.naturalWidth === 96)")
    # each thumbnail shows what its frame holds: the mean grey of the faces differs
    shades = page.evaluate(
        "(() => { const pen = document.createElement('canvas').getContext('2d', "
        "{willReadFrequently: true}); "
        "const shade = (...from) => { pen.drawImage(...from, 0, 0, 1, 1); "
        "return pen.getImageData(0, 0, 1, 1).data[0]; }; pen.imageSmoothingQuality = 'high'; "
        "const photo = document.querySelector('#photo'), whole = photo.getBoundingClientRect(), "
        "scale = photo.naturalWidth / whole.width; "
        "return [...document.querySelectorAll('.box')].map((box, index) => { "
        "const b = box.getBoundingClientRect(), side = b.height; "
        "return [shade(document.querySelectorAll('.thumbnail')[index], 0, 0, 96, 96), shade(photo, "
        "((b.left + b.right - side) / 2 - whole.left) * scale, (b.top - whole.top) * scale, "
        "side * scale, side * scale)]; }); })()"
    )
    for thumbnail, frame in shades:
        assert thumbnail == pytest.approx(frame, abs=25)


def test_of_a_large_photograph_a_small_picture_is_kept(page, files):
    page.choose_file("#file", files / "wide.jpg")
    page.wait(f"{FACES} === 2")
    assert page.evaluate("document.querySelector('#photo').naturalWidth") == 1600
    assert page.evaluate(PHOTO) == pytest.approx(2400 / 900, rel=0.01)


def test_a_photograph_turned_by_what_browsers_do_not_read_is_shown_upright(page, files):
    page.choose_file("#file", files / "turned.jpg")
    page.wait(f"{FACES} === 2")
    page.wait(f"Math.abs({PHOTO} - 2) < 0.01")


def test_a_film_is_shown_with_its_faces_and_leaves_nothing_on_the_server(
    page, files, page_api, predictor
):
    page.evaluate(RECORD)
    page.choose_file("#file", files / "film.mp4")
    page.wait(f"{STATUS} === 'One face'")
    assert page.evaluate("document.querySelector('#faces h3').innerText").startswith(
        ("mostly ", "unsure")
    )
    page.wait("document.querySelector('.thumbnail').naturalWidth === 96")
    page.wait("document.querySelector('#video-of-film').duration > 0.5")  # Chromium plays it
    page.wait("document.querySelector('#plot').naturalWidth > 300")
    assert page.evaluate("document.querySelector('#progress').hidden") is True
    page.evaluate(CLICK.format("#save-frames"))
    rows = list(csv.DictReader(io.StringIO(read_saved(page))))
    assert [row["name"] for row in rows] == [f"film.mp4#{frame}" for frame in (0, 2, 4, 6)]
    assert {row["track"] for row in rows} == {"1"}
    page.evaluate(CLICK.format("#save-tracks"))
    assert read_saved(page).startswith("track,begin,end,seconds,frames,happy")
    end = time.monotonic() + 30
    while page_api.films._films:
        assert time.monotonic() < end, "the film is still on the server"
        time.sleep(0.05)


def test_a_film_can_be_cancelled_and_tried_again(page, files, page_api, predictor, monkeypatch):
    go = threading.Event()
    find = predictor.find_faces
    monkeypatch.setattr(
        predictor, "find_faces", lambda *image, **options: go.wait(60) and find(*image, **options)
    )
    page.choose_file("#file", files / "film.mp4")
    page.wait("document.querySelector('#progress-text').textContent.includes('of 4 frames')")
    page.evaluate(CLICK.format("#cancel"))
    page.wait(f"{STATUS} === 'Cancelled.'")
    assert page.evaluate("document.activeElement.id") == "again"
    end = time.monotonic() + 30
    while page_api.films._films:
        assert time.monotonic() < end, "the film is still on the server"
        time.sleep(0.05)
    go.set()
    page.evaluate(CLICK.format("#again"))
    page.wait(f"{STATUS} === 'One face'")


def test_a_film_is_recognised_whatever_its_name_says(page, files, tmp_path):
    (tmp_path / "photo.jpg").write_bytes((files / "film.mp4").read_bytes())
    (tmp_path / "film.mp4").write_bytes((files / "notes.jpg").read_bytes())
    page.choose_file("#file", tmp_path / "photo.jpg")
    page.wait(f"{STATUS} === 'One face'")
    page.choose_file("#file", tmp_path / "film.mp4")
    assert "film.mp4 cannot be used: expected a film" in page.wait(PROBLEM)

"""The page in a real browser: its answers are the predictor's, and no request goes out."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis.saliency import gradcam
from faceemo.inference.export.web import site as sites
from faceemo.inference.formats import make_columns
from faceemo.inference.images import load_images
from tests.support.data import photographs as drawings
from tests.support.data.faces import face

pytestmark = pytest.mark.slow

FACES = "document.querySelectorAll('#photos .cards > li').length"
DONE = "document.querySelectorAll('#photos .photo').length === {} && /\\.$/.test(" + (
    "document.getElementById('status').textContent)"
)
WIDER = (
    "[...document.querySelectorAll('body *')].filter(e => !e.closest('.visually-hidden, .layer') &&"
    " e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    ".map(e => e.outerHTML)"
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs by name: of two faces, turned by EXIF or by XMP, and others, as files."""
    folder = tmp_path_factory.mktemp("photographs")
    drawn = drawings.draw(apart=400)
    for name, pixels in drawn.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    pair = Image.fromarray(drawn["pair"])
    pair.save(folder / "pair.jpg", quality=95)
    turned = pair.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "by exif.jpg", quality=95, exif=exif)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    turned.save(folder / "by xmp.jpg", quality=95, xmp=xmp)
    (folder / "notes.jpg").write_text("no picture")
    (folder / "telephone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    return folder


def show(page, *paths):
    """Chooses files and waits for all answers; returns what the page says about each."""
    page.evaluate("document.getElementById('clear').click()")
    found = page.call("Runtime.evaluate", expression="document.querySelector('#file')")
    page.call(
        "DOM.setFileInputFiles",
        files=[str(path) for path in paths],
        objectId=found["result"]["objectId"],
    )
    page.wait(DONE.format(len(paths)), 120)


def read_csv(page):
    """Saves the results and reads the file."""
    page.evaluate(
        "window.saved = null; HTMLAnchorElement.prototype.click = () => {};"
        "window.make ??= URL.createObjectURL; URL.createObjectURL = (blob) => {"
        "  if (blob.type === 'text/csv') blob.text().then((text) => { window.saved = text; });"
        "  return window.make(blob); };"
        "document.getElementById('save').click();"
    )
    return list(csv.DictReader(io.StringIO(page.wait("window.saved", 20))))


NAMES = ("pair.png", "crop.png", "wall.png", "large.png", "by exif.jpg", "by xmp.jpg")


def test_the_answers_are_those_of_the_predictor(page, photographs, builtin_predictor):
    paths = [photographs / name for name in NAMES]
    show(page, *paths)
    rows = read_csv(page)
    expected = builtin_predictor.predict(paths)
    assert len(rows) == len(expected) == page.evaluate(FACES) + 1  # the wall has no face
    assert tuple(rows[0]) == make_columns(builtin_predictor.classes)
    assert sum(one.name.endswith("large.png") for one in expected) > 2
    for row, one in zip(rows, expected, strict=True):
        assert row["name"] == one.name.rpartition("/")[2]
        assert (row["status"], row["label"]) == (one.status, one.label or "")
        assert row["reason"] == one.reason
        if one.status == "no_face":
            assert row["probability"] == row["left"] == ""
            continue
        found = [float(row[name]) for name in one.probabilities]
        assert found == pytest.approx(list(one.probabilities.values()), abs=sites.TOLERANCE)
        edges = ("left", "top", "right", "bottom")
        assert [float(row[edge]) for edge in edges] == pytest.approx(one.box, abs=0.5)
        regions = [float(row[f"region_{edge}"]) for edge in edges]
        assert regions == pytest.approx(one.region, abs=1)
        assert float(row["face_confidence"]) == pytest.approx(one.face_confidence, abs=0.01)


def test_heat_maps_are_gradcam(page, photographs, builtin_predictor):
    address = page.evaluate("location.href")
    page.evaluate(
        "(async () => { const { Recognizer } = await import('/recognizer.js');"
        "const one = new Recognizer(); await one.ready; const canvas = new OffscreenCanvas(48, 48);"
        f"const pixels = {json.dumps(face(2).ravel().tolist())};"
        "const image = new ImageData(48, 48);"
        "pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));"
        "canvas.getContext('2d').putImageData(image, 0, 0);"
        "const answer = await one.predict(await canvas.convertToBlob());"
        "one.worker.terminate();"
        "window.heat = { ...answer.faces[0].heat, data: [...answer.faces[0].heat.data] }; })()"
    )
    heat = page.wait("window.heat")
    assert page.evaluate("location.href") == address
    (image,) = load_images(photographs / "crop.png")
    (found,) = builtin_predictor.find_faces(image)
    trained = builtin_predictor.trained
    best = builtin_predictor.probabilities(found.crop[None]).argmax(1)
    make = gradcam.make_heat(trained.model, trained.preprocessing, trained.variables, batch=1)
    (expected,) = make(found.crop[None], best)
    ours = np.reshape(heat["data"], (heat["height"], heat["width"]))
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours / ours.max(), expected, atol=0.01)


def test_heat_maps_are_shown_on_demand(page, photographs):
    show(page, photographs / "pair.png")
    visible = "[...document.querySelectorAll('#photos .layer canvas')].map(e => !e.hidden)"
    assert page.evaluate(visible) == [False, False]
    page.evaluate("document.querySelectorAll('.cards button')[1].click()")
    assert page.evaluate(visible) == [False, True]
    page.evaluate("document.getElementById('heat').click()")
    assert page.evaluate(visible) == [True, True]
    page.evaluate("document.getElementById('heat').click()")
    assert page.evaluate(visible) == [False, False]


def test_frames_are_over_the_faces(page, photographs, builtin_predictor):
    show(page, photographs / "pair.png")
    corners = page.evaluate(
        "(() => { const p = document.querySelector('#photos img').getBoundingClientRect();"
        "return [...document.querySelectorAll('.box')].map(e => { const b = "
        "e.getBoundingClientRect(); return [(b.left - p.left) / p.width, (b.top - p.top) / "
        "p.height, (b.right - p.left) / p.width, (b.bottom - p.top) / p.height]; }); })()"
    )
    expected = builtin_predictor.predict(photographs / "pair.png")
    for found, one in zip(corners, expected, strict=True):
        left, top, right, bottom = one.box
        assert found == pytest.approx([left / 600, top / 300, right / 600, bottom / 300], abs=0.005)


def test_what_cannot_be_opened_is_told_in_words(page, photographs):
    names = ("notes.jpg", "telephone.heic", "crop.png")
    show(page, *(photographs / name for name in names))
    words = "[...document.querySelectorAll('#photos .notice')].map(e => e.innerText)"
    notices = page.evaluate(words)
    assert len(notices) == 2
    assert "JPEG, PNG" in notices[0]
    assert "HEIC" in notices[1]
    assert "Safari" in notices[1]
    assert page.evaluate(FACES) == 1
    rows = read_csv(page)
    assert [row["status"] == "unreadable" for row in rows] == [True, True, False]
    assert "HEIC" in rows[1]["problem"]
    # the browser says itself that it cannot show them
    page.console_errors.clear()


def test_photographs_can_be_dropped_and_pasted(page):
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            "(async () => { document.getElementById('clear').click();"
            "const canvas = new OffscreenCanvas(80, 60);"
            "canvas.getContext('2d').fillRect(0, 0, 9, 9);"
            "const blob = await canvas.convertToBlob(); const data = new DataTransfer();"
            "data.items.add(new File([blob], 'x.png')); data.items.add(new File([blob], 'y.png'));"
            f"const kind = {{drop: DragEvent, paste: ClipboardEvent}}['{event}'];"
            f"document.body.dispatchEvent(new kind('{event}', {{bubbles: true, cancelable: true, "
            f"{field}: data}})); }})()"
        )
        page.wait(DONE.format(2))
        assert page.evaluate("document.getElementById('status').textContent") == (
            "0 faces in 2 photographs."
        )


def test_the_camera_is_watched_and_keeps_a_picture(page):
    page.evaluate("document.getElementById('camera').click()")
    page.wait("/a second/.test(document.getElementById('live-heading').textContent)")
    page.evaluate("document.getElementById('snap').click()")
    page.wait("document.querySelectorAll('#photos .photo').length === 1")
    page.evaluate("document.getElementById('stop').click()")
    page.wait(DONE.format(1))
    assert page.evaluate("document.getElementById('video').srcObject") is None
    assert page.evaluate("document.getElementById('live').hidden")


def test_the_first_visit_loads_less_than_12_mb(site):
    sizes = {path.name: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    assert sum(sizes.values()) - sizes["LICENSES.txt"] < 12e6
    about = json.loads((site / "model.json").read_text())
    assert {name: one["bytes"] for name, one in about["files"].items()} == {
        name: (site / name).stat().st_size for name in about["files"]
    }
    assert about["checked"]["largest_difference"] <= about["checked"]["tolerance"] == 0.01


def test_nothing_but_the_sites_own_files_is_asked_for(page, served, site):
    """The list of requests is the server's: that of the tab lacks those of the worker."""
    address, asked = served
    asked.clear()
    page.open(address)
    page.wait("document.getElementById('loading').hidden")
    files = {f"/{path.relative_to(site).as_posix()}" for path in site.rglob("*") if path.is_file()}
    loaded = {path.replace("/index.html", "/") for path in files} - {"/LICENSES.txt"}
    assert {"/" if path == "/" else path for path in asked} == loaded
    page.evaluate(
        "window.refused = 0; document.addEventListener('securitypolicyviolation', () => refused++);"
        "fetch('http://127.0.0.1:9/x').catch(() => 0); new Image().src = 'http://127.0.0.1:9/y'"
    )
    page.wait("window.refused === 2")
    page.requests.clear()
    page.console_errors.clear()  # about these two


def test_no_file_names_another_site(site):
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".json"):
            text = path.read_text("utf-8")
            found = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+", text))
            # words of onnxruntime to developers
            assert found <= {"https://web.dev"}, path


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_nothing_is_wider_than_the_window(page, photographs, width, dark):
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.call("Emulation.setEmulatedMedia", features=[scheme])
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
              deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
    show(page, photographs / "pair.png", photographs / "notes.jpg")
    page.evaluate("document.getElementById('heat').click()")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(WIDER) == []
    page.console_errors.clear()  # about the file that is no picture


def test_everything_is_reached_by_keyboard_and_has_a_name(page, photographs):
    show(page, photographs / "pair.png")
    named = {"button", "image", "checkbox", "link", "Video"}
    roles = set()
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
            roles.add(role)
    assert {"button", "image", "checkbox", "link"} <= roles
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(20):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                      windowsVirtualKeyCode=9)  # fmt: skip
        active = "document.activeElement.id || document.activeElement.className"
        reached.append(page.evaluate(active))
    assert {"file", "camera", "heat", "save", "clear", "button small"} <= set(reached)
    assert any("box" in one for one in reached)

"""The demo in a real browser: predictions, heat maps, errors, the camera, no other sites."""

import pytest

from tests.support import chromium
from tests.support.inference.asking import open_api
from tests.support.inference.demo import FACES, PROBLEM, STATUS
from tests.support.inference.serving import serve_app

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="there is no Chromium on this machine"
)
TEXTS = "[...document.querySelectorAll('{}')].map(e => e.innerText)"


def test_a_photo_gets_its_predictions(page, files, predictor):
    page.choose_file("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    expected = predictor.predict(files / "photo.png")
    shown = page.evaluate("[...document.querySelectorAll('#faces h3')].map(e => e.innerText)")
    for text, one in zip(shown, expected, strict=True):
        assert text.startswith(one.label or "unsure")
    bars = page.evaluate("[...document.querySelectorAll('.bars .value')].map(e => e.innerText)")
    probabilities = [value for one in expected for value in one.probabilities.values()]
    assert [int(bar.rstrip("%")) for bar in bars] == pytest.approx(
        [100 * value for value in probabilities], abs=0.6
    )
    # the frames are over the faces, at whatever size the photo is shown
    corners = page.evaluate(
        "(() => { const p = document.querySelector('#photo').getBoundingClientRect();"
        "return [...document.querySelectorAll('.box')].map(e => { const b = "
        "e.getBoundingClientRect(); return [(b.left - p.left) / p.width, (b.top - p.top) / "
        "p.height, (b.right - p.left) / p.width, (b.bottom - p.top) / p.height]; }); })()"
    )
    for found, one in zip(corners, expected, strict=True):
        left, top, right, bottom = one.box
        assert found == pytest.approx([left / 600, top / 300, right / 600, bottom / 300], abs=0.005)


def test_the_heat_map_of_a_face_is_made_on_request(page, files):
    page.choose_file("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    assert not any("heat=true" in one for one in page.requests), "nobody has asked for it"
    for shown in (1, 0, 1):
        page.evaluate("document.querySelectorAll('.heat')[1].click()")
        page.wait(f"document.querySelectorAll('#heatmaps img').length === {shown}")
    assert sum("heat=true" in one for one in page.requests) == 1
    page.wait("[...document.querySelectorAll('#heatmaps img')].every(i => i.naturalWidth === 96)")
    assert page.evaluate(TEXTS.format(".heat")) == ["Show heat map", "Hide heat map"]
    # over the face in the picture, and over its thumbnail
    over = (
        "(() => { const [heat, box] = ['#heatmaps img', '#boxes .box:nth-child(2)'].map(s => "
        "document.querySelector(s).getBoundingClientRect()); "
        "return [heat.top - box.top, heat.bottom - box.bottom, "
        "(heat.left + heat.right - box.left - box.right) / 2]; })()"
    )
    assert page.evaluate(over) == pytest.approx([0, 0, 0], abs=2)
    assert page.evaluate("document.querySelectorAll('#faces > li:nth-child(2) .over').length") == 1


def test_a_photo_without_a_face_is_reported(page, files):
    page.choose_file("#file", files / "wall.png")
    page.wait(f"{STATUS}.startsWith('No face')")
    assert page.evaluate(FACES) == 0


def test_a_refused_file_gets_a_message_and_the_next_photo_works(page, files):
    page.choose_file("#file", files / "notes.jpg")
    message = page.wait(PROBLEM)
    assert "JPEG, PNG" in message
    assert "Fix:" in message
    page.choose_file("#file", files / "large.png")
    page.wait(f"{PROBLEM}?.includes('1,048,576')")
    page.choose_file("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    assert page.evaluate(PROBLEM) is None


def test_photos_can_be_dropped_and_pasted(page):
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            "(async () => { const blob = await (await fetch('/examples/three.png')).blob();"
            "const data = new DataTransfer(); data.items.add(new File([blob], 'x.png'));"
            "document.getElementById('faces').replaceChildren();"
            f"const kind = {{drop: DragEvent, paste: ClipboardEvent}}['{event}'];"
            f"document.body.dispatchEvent(new kind('{event}', {{bubbles: true, cancelable: true, "
            f"{field}: data}})); }})()"
        )
        page.wait(f"{FACES} === 3")


def test_the_camera_takes_a_photo(page):
    page.evaluate("document.querySelector('#camera').click()")
    page.wait("!document.querySelector('#snap').hidden")
    page.evaluate("document.querySelector('#snap').click()")
    page.wait(f"{STATUS}.startsWith('No face')")  # the browser's test pattern
    assert page.evaluate("document.querySelector('#photo').naturalWidth") > 300
    assert page.evaluate("document.querySelector('#video').srcObject") is None


def test_two_clicks_open_one_camera(page):
    """A camera that opens after a photo was chosen is closed again."""
    page.evaluate(
        "const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "window.opened = []; window.calls = 0;"
        "navigator.mediaDevices.getUserMedia = async (what) => {"
        "  calls += 1; const one = await get(what); opened.push(...one.getTracks()); return one; }"
    )
    click = "document.querySelector('#camera').click();"
    page.evaluate(click * 2)
    page.wait("!document.querySelector('#snap').hidden")
    assert page.evaluate("calls") == 1
    page.evaluate("document.querySelector('#stop').click()")
    page.evaluate(click + "document.querySelector('.example').click()")
    page.wait(f"opened.length === 2 && {FACES} === 1")
    page.wait("opened.every((track) => track.readyState === 'ended')")
    assert page.evaluate("document.querySelector('#camera').disabled") is False
    assert page.evaluate("document.querySelector('#snap').hidden")


def test_the_last_chosen_example_is_shown(page):
    """Even if the example chosen first is loaded last."""
    page.evaluate(
        "const get = window.fetch; window.late = 0;"
        "window.fetch = async (address, ...more) => { const response = await get(address, ...more);"
        "  if (address === '/examples/three.png') {"
        "    while (!late) await new Promise((go) => setTimeout(go, 10));"
        "    setTimeout(() => { late = 2; }, 50); }"
        "  return response; };"
        "document.querySelector('[data-address=\"/examples/three.png\"]').click();"
        "document.querySelector('[data-address=\"/examples/happy.png\"]').click()"
    )
    page.wait(f"{FACES} === 1")
    page.evaluate("late = 1")
    page.wait("late === 2")
    assert page.evaluate("document.querySelector('#photo').alt") == "drawn face, happy"
    assert page.evaluate(FACES) == 1
    assert page.evaluate(PROBLEM) is None


@pytest.mark.slow
def test_a_stopped_server_is_reported(tab, predictor):
    with open_api(predictor) as api:
        with serve_app(api.app) as url:
            tab.open(url)
            tab.wait("[...document.images].every(i => !i.src || i.complete)")
        tab.evaluate("import('/demo.js').then(demo => demo.add([[new Blob(['x']), 'x']]))")
        assert "faceemo serve" in tab.wait(PROBLEM)
        assert tab.evaluate("document.querySelector('#drop-hint').hidden") is False
        tab.evaluate("document.querySelector('#remove').click()")
        assert tab.evaluate(PROBLEM) is None
        tab.evaluate("document.querySelector('.example').click()")
        assert "faceemo serve" in tab.wait(PROBLEM)
        assert tab.evaluate("document.querySelector('#again').hidden") is False

"""The demo in a real browser: predictions, errors, narrow screens, no other sites."""

import pytest

from faceemo.inference.serve.limits import Limits
from tests.support import chromium
from tests.support.inference.asking import open_api, photo_png, wall_png
from tests.support.inference.serving import serve_app

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="there is no Chromium on this machine"
)
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FACES = "document.querySelectorAll('#faces > li').length"
STATUS = "document.getElementById('status').textContent"
PROBLEM = "document.querySelector('#problem:not([hidden])')?.innerText"
WIDER = (
    "[...document.querySelectorAll('body *')]"
    ".filter(e => !e.closest('.scroll, .visually-hidden, .layer') &&"
    " e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    ".map(e => e.outerHTML)"
)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.open_page(tmp_path_factory.mktemp("chromium"), *CAMERA) as page:
        yield page


@pytest.fixture(scope="module")
def address(predictor):
    with open_api(predictor, Limits(max_bytes=2**20)) as api, serve_app(api.app) as url:
        yield url


@pytest.fixture
def page(tab, address):
    """Loads the demo; checks afterwards that it contacted no other site and logged no error."""
    tab.requests.clear()
    tab.console_errors.clear()
    tab.open(address)
    yield tab
    other_sites = [a for a in tab.requests if not a.startswith((address, "data:", "blob:"))]
    assert other_sites == []
    assert [one for one in tab.console_errors if "Failed to load resource" not in one] == []


@pytest.fixture
def files(tmp_path):
    """Writes a photo of two faces, an image without a face, a text file and a too large file."""
    (tmp_path / "photo.png").write_bytes(photo_png())
    (tmp_path / "wall.png").write_bytes(wall_png())
    (tmp_path / "notes.jpg").write_text("no image")
    (tmp_path / "large.png").write_bytes(bytes(2**20 + 1))
    return tmp_path


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


def test_heatmaps_are_shown_on_request(page, files):
    page.choose_file("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    height = "document.querySelector('#heatmaps img').getBoundingClientRect().height"
    assert page.evaluate(height) == 0
    page.evaluate("document.querySelector('#heat').click()")
    assert page.evaluate(height) > 20
    page.wait("[...document.querySelectorAll('#heatmaps img')].every(i => i.naturalWidth === 96)")


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


def test_everything_is_accessible_by_keyboard_and_screen_reader(page):
    page.evaluate("document.querySelector('[data-address=\"/examples/three.png\"]').click()")
    page.wait(f"{FACES} === 3")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "image", "checkbox", "link", "region", "Video"}
    roles = set()
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
            roles.add(role)
    assert {"button", "image", "checkbox", "link"} <= roles
    status = next(node for node in nodes if node.get("role", {}).get("value") == "status")
    assert status
    assert "1: " in page.evaluate(STATUS), "screen readers need the predictions"
    reached = set()
    for _ in range(30):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                      windowsVirtualKeyCode=9)  # fmt: skip
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"file", "camera", "heat", "example"} <= reached
    assert any("box" in one for one in reached)


def test_labels_do_not_cover_each_other(page, address):
    touching = (
        "(() => { const all = [...document.querySelectorAll('.box span')].map(e => "
        "e.getBoundingClientRect()); return all.some((a, i) => all.slice(i + 1).some(b => "
        "a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)); })()"
    )
    for width in (1200, 390):
        page.open(address, width=width)
        page.evaluate("document.querySelector('[data-address=\"/examples/three.png\"]').click()")
        page.wait(f"{FACES} === 3")
        assert page.evaluate(touching) is False


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1200, True)])
def test_nothing_is_wider_than_the_window(page, address, files, width, dark):
    for path in ("api", ""):
        page.open(address + path, width=width, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDER) == []
    page.evaluate("document.querySelector('#heat').click()")
    for name, there in (("photo.png", f"{FACES} === 2"), ("notes.jpg", PROBLEM)):
        page.choose_file("#file", files / name)
        page.wait(there)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDER) == []


@pytest.mark.slow
def test_a_stopped_server_is_reported(tab, predictor):
    with open_api(predictor) as api:
        with serve_app(api.app) as url:
            tab.open(url)
            tab.wait("[...document.images].every(i => !i.src || i.complete)")
        tab.evaluate(
            "document.querySelector('#file').files.length || "
            "predict(new Blob(['x']), 'x') && undefined"
        )
        assert "faceemo serve" in tab.wait(PROBLEM)
        tab.evaluate("clearResults(), document.querySelector('.example').click()")
        assert "faceemo serve" in tab.wait(PROBLEM)
        assert tab.evaluate("document.querySelector('#drop-hint').hidden") is False

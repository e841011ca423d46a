"""The page in a real browser: pictures and answers, errors, narrow screens, no other address."""

import pytest

from faceemo.inference.serve.limits import Limits
from tests.support import chromium
from tests.support.inference.asking import asking, photo, wall
from tests.support.inference.serving import running

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="there is no Chromium on this machine"
)
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FACES = "document.querySelectorAll('#faces > li').length"
STATUS = "document.getElementById('status').textContent"
PROBLEM = "document.querySelector('#problem:not([hidden])')?.innerText"
WIDER = (
    "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .aside, .layer') &&"
    " e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    ".map(e => e.outerHTML)"
)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.page(tmp_path_factory.mktemp("chromium"), *CAMERA) as page:
        yield page


@pytest.fixture(scope="module")
def address(predictor):
    with asking(predictor, Limits(bytes=2**20)) as asker, running(asker.app) as url:
        yield url


@pytest.fixture
def page(tab, address):
    """The demo, freshly loaded; it must have asked nobody else, and have had no trouble."""
    tab.requests.clear(), tab.trouble.clear()
    tab.open(address)
    yield tab
    elsewhere = [a for a in tab.requests if not a.startswith((address, "data:", "blob:"))]
    assert elsewhere == []
    assert [one for one in tab.trouble if "Failed to load resource" not in one] == []


@pytest.fixture
def files(tmp_path):
    """Of one kind each: faces, none, no picture, too large."""
    (tmp_path / "photo.png").write_bytes(photo())
    (tmp_path / "wall.png").write_bytes(wall())
    (tmp_path / "notes.jpg").write_text("no picture")
    (tmp_path / "large.png").write_bytes(bytes(2**20 + 1))
    return tmp_path


def test_a_picture_gets_its_answer(page, files, predictor):
    page.choose("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    wanted = predictor.predict(files / "photo.png")
    shown = page.evaluate("[...document.querySelectorAll('#faces h3')].map(e => e.innerText)")
    for text, one in zip(shown, wanted, strict=True):
        assert text.startswith(one.label or "unsure")
    bars = page.evaluate("[...document.querySelectorAll('.bars .value')].map(e => e.innerText)")
    chances = [value for one in wanted for value in one.probabilities.values()]
    assert [int(bar.rstrip("%")) for bar in bars] == pytest.approx(
        [100 * value for value in chances], abs=0.6
    )
    # the frames lie over the faces, whatever the picture's size on the screen
    corners = page.evaluate(
        "(() => { const p = document.querySelector('#picture').getBoundingClientRect();"
        "return [...document.querySelectorAll('.box')].map(e => { const b = "
        "e.getBoundingClientRect(); return [(b.left - p.left) / p.width, (b.top - p.top) / "
        "p.height, (b.right - p.left) / p.width, (b.bottom - p.top) / p.height]; }); })()"
    )
    for found, one in zip(corners, wanted, strict=True):
        left, top, right, bottom = one.box
        assert found == pytest.approx([left / 600, top / 300, right / 600, bottom / 300], abs=0.005)


def test_the_evidence_is_shown_when_asked_for(page, files):
    page.choose("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    height = "document.querySelector('#heats img').getBoundingClientRect().height"
    assert page.evaluate(height) == 0
    page.evaluate("document.querySelector('#heat').click()")
    assert page.evaluate(height) > 20
    page.wait("[...document.querySelectorAll('#heats img')].every(i => i.naturalWidth === 96)")


def test_no_face_is_said(page, files):
    page.choose("#file", files / "wall.png")
    page.wait(f"{STATUS}.startsWith('No face')")
    assert page.evaluate(FACES) == 0


def test_what_is_refused_is_told_and_the_next_picture_answered(page, files):
    page.choose("#file", files / "notes.jpg")
    message = page.wait(PROBLEM)
    assert "JPEG, PNG" in message
    assert "Fix:" in message
    page.choose("#file", files / "large.png")
    page.wait(f"{PROBLEM}?.includes('1,048,576')")
    page.choose("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    assert page.evaluate(PROBLEM) is None


def test_a_dropped_and_a_pasted_picture_are_taken(page):
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


def test_the_camera_takes_a_picture(page):
    page.evaluate("document.querySelector('#camera').click()")
    page.wait("!document.querySelector('#snap').hidden")
    page.evaluate("document.querySelector('#snap').click()")
    page.wait(f"{STATUS}.startsWith('No face')")  # the browser's own test picture
    assert page.evaluate("document.querySelector('#picture').naturalWidth") > 300
    assert page.evaluate("document.querySelector('#video').srcObject") is None


def test_two_clicks_open_one_camera(page):
    """And one that opens after a picture was given is closed again."""
    page.evaluate(
        "const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "window.opened = []; window.asked = 0;"
        "navigator.mediaDevices.getUserMedia = async (what) => {"
        "  asked += 1; const one = await get(what); opened.push(...one.getTracks()); return one; }"
    )
    click = "document.querySelector('#camera').click();"
    page.evaluate(click * 2)
    page.wait("!document.querySelector('#snap').hidden")
    assert page.evaluate("asked") == 1
    page.evaluate("document.querySelector('#stop').click()")
    page.evaluate(click + "document.querySelector('.example').click()")
    page.wait(f"opened.length === 2 && {FACES} === 1")
    page.wait("opened.every((track) => track.readyState === 'ended')")
    assert page.evaluate("document.querySelector('#camera').disabled") is False
    assert page.evaluate("document.querySelector('#snap').hidden")


def test_the_last_of_two_examples_is_shown(page):
    """Though the first one comes last."""
    page.evaluate(
        "const get = window.fetch; window.late = 0;"
        "window.fetch = async (address, ...more) => { const answer = await get(address, ...more);"
        "  if (address === '/examples/three.png') {"
        "    while (!late) await new Promise((go) => setTimeout(go, 10));"
        "    setTimeout(() => { late = 2; }, 50); }"
        "  return answer; };"
        "document.querySelector('[data-address=\"/examples/three.png\"]').click();"
        "document.querySelector('[data-address=\"/examples/happy.png\"]').click()"
    )
    page.wait(f"{FACES} === 1")
    page.evaluate("late = 1")
    page.wait("late === 2")
    assert page.evaluate("document.querySelector('#picture').alt") == "drawn face, happy"
    assert page.evaluate(FACES) == 1
    assert page.evaluate(PROBLEM) is None


def test_keys_and_screen_readers_find_everything(page):
    page.evaluate("document.querySelector('[data-address=\"/examples/three.png\"]').click()")
    page.wait(f"{FACES} === 3")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "image", "checkbox", "link", "region", "Video"}
    seen = set()
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
            seen.add(role)
    assert {"button", "image", "checkbox", "link"} <= seen
    status = next(node for node in nodes if node.get("role", {}).get("value") == "status")
    assert status
    assert "1: " in page.evaluate(STATUS), "what is heard names the answers"
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
        page.choose("#file", files / name)
        page.wait(there)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDER) == []


def test_a_server_that_has_ended_is_told(tab, predictor):
    with asking(predictor) as asker:
        with running(asker.app) as url:
            tab.open(url)
            tab.wait("[...document.images].every(i => !i.src || i.complete)")
        tab.evaluate(
            "document.querySelector('#file').files.length || "
            "look(new Blob(['x']), 'x') && undefined"
        )
        assert "faceemo serve" in tab.wait(PROBLEM)
        tab.evaluate("clear(), document.querySelector('.example').click()")
        assert "faceemo serve" in tab.wait(PROBLEM)
        assert tab.evaluate("document.querySelector('#invitation').hidden") is False

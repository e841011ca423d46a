"""The demo in narrow and wide windows, light and dark, by keyboard and by screen reader."""

import re

import pytest

from tests.support import chromium
from tests.support.inference.demo import CLICK, FACES, PROBLEM, STATUS

pytestmark = [
    pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine"),
    pytest.mark.slow,
]
THREE = '[data-address="/examples/three.png"]'
WIDER = (
    "[...document.querySelectorAll('body *')]"
    ".filter(e => !e.closest('.scroll, .visually-hidden, .layer') &&"
    " e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    ".map(e => e.outerHTML)"
)
# The colours of each text that is shown, of what is behind it, its size and its weight.
TEXTS = (
    "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
    "[...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => { "
    "const behind = []; for (let one = e; one; one = one.parentElement) "
    "behind.push(getComputedStyle(one).backgroundColor); const style = getComputedStyle(e); "
    "return [e.outerHTML.slice(0, 90), style.color, behind, parseFloat(style.fontSize), "
    "Number(style.fontWeight)]; })"
)


def parse_colour(text):
    """Returns red, green, blue, 0..255, and opacity, 0..1, of a computed colour."""
    numbers = [float(one) for one in re.findall(r"[\d.]+", text)]
    assert text.startswith("rgb"), text
    return numbers[:3], (numbers[3] if len(numbers) > 3 else 1.0)


def luminance(rgb):
    shares = [one / 255 for one in rgb]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    """Returns WCAG's contrast of two colours."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def find_pale(page):
    """Returns the texts whose contrast is below that of level AA."""
    pale = []
    for html, colour, behind, size, weight in page.evaluate(TEXTS):
        opaque = next(rgb for rgb, alpha in map(parse_colour, behind) if alpha == 1)
        rgb, alpha = parse_colour(colour)
        assert alpha == 1
        is_large = size >= 24 or (size >= 18.66 and weight >= 700)
        if (found := contrast(rgb, opaque)) < (3 if is_large else 4.5):
            pale.append((html, round(found, 2)))
    return pale


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_everything_fits_and_is_legible(page, address, files, width, dark):
    def check():
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDER) == []
        assert find_pale(page) == []

    for path in ("api", ""):
        page.open(address + path, width=width, dark=dark)
        check()
    page.choose_file("#file", files / "photo.png", files / "notes.jpg", files / "film.mp4")
    page.wait("document.querySelector('#overall').textContent === '3 of 3 answered'")
    page.evaluate(CLICK.format(".heat"))
    page.wait("document.querySelectorAll('#heatmaps img').length === 1")
    check()
    for index, shown in ((1, PROBLEM), (2, "!document.querySelector('#film-results').hidden")):
        page.evaluate(f"document.querySelectorAll('.entry')[{index}].click()")
        page.wait(shown)
        check()


def test_the_contrast_is_computed_as_the_standard_defines_it():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)
    assert contrast((10, 20, 30), (10, 20, 30)) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_the_picture_stays_in_view_while_the_answers_scroll(page, address, width):
    page.open(address, width=width, height=600)
    page.evaluate(CLICK.format(THREE))
    page.wait(f"{FACES} === 3")
    place = "(s => [s.top, s.bottom])(document.querySelector('#photo').getBoundingClientRect())"
    last = "document.querySelector('#faces > li:last-child')"
    page.evaluate(f"{last}.scrollIntoView({{block: 'end'}})")
    assert page.evaluate("scrollY") > 60
    top, bottom = page.evaluate(place)
    assert 0 <= top < bottom <= 600
    seen = page.evaluate(f"(r => [r.top, r.bottom])({last}.getBoundingClientRect())")
    assert seen[1] <= 601
    # nothing of the answers lies over it
    over = (
        "(r => document.elementFromPoint(r.left + 5, r.top + 5).closest('#stage') !== null)"
        "(document.querySelector('#photo').getBoundingClientRect())"
    )
    assert page.evaluate(over) is True


def press(page, key, code=None, number=0):
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key,
                  windowsVirtualKeyCode=number)  # fmt: skip


def test_everything_is_accessible_by_keyboard_and_screen_reader(page, files):
    page.choose_file("#file", files / "photo.png", files / "wall.png")
    page.wait("document.querySelector('#overall').textContent === '2 of 2 answered'")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "image", "checkbox", "link", "region", "Video", "progressbar"}
    roles = set()
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
            roles.add(role)
    assert {"button", "image", "link", "region"} <= roles
    assert [node for node in nodes if node.get("role", {}).get("value") == "status"]
    assert "1: " in page.evaluate(STATUS), "screen readers need the predictions"
    for id, role in (("status", "status"), ("overall", "status"), ("problem", "alert")):
        assert page.evaluate(f"document.querySelector('#{id}').role") == role
    reached = []
    page.evaluate("document.body.focus()")
    for _ in range(30):
        press(page, "Tab", number=9)
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
        outline = (
            "document.activeElement.matches('#file') ? "
            "getComputedStyle(document.activeElement.nextElementSibling).outlineStyle : "
            "getComputedStyle(document.activeElement).outlineStyle"
        )
        if reached[-1]:  # empty beyond the last element of the page
            assert page.evaluate(outline) != "none", f"focus is not seen on {reached[-1]}"
    order = [reached.index(one) for one in ("file", "camera", "box sure", "entry")
             if one in reached]  # fmt: skip
    assert order == sorted(order)
    assert {"file", "camera", "entry", "save", "remove", "example"} <= set(reached)
    assert any(one.startswith("box ") for one in reached)
    assert any("heat" in one for one in reached)


def test_a_heat_map_is_shown_by_keyboard_alone(page, files):
    page.choose_file("#file", files / "photo.png")
    page.wait(f"{FACES} === 2")
    page.evaluate("document.querySelectorAll('.heat')[1].focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r",
              windowsVirtualKeyCode=13)  # fmt: skip
    page.wait("document.activeElement.getAttribute('aria-pressed') === 'true'")


def test_labels_do_not_cover_each_other(page, address):
    touching = (
        "(() => { const all = [...document.querySelectorAll('.box span')].map(e => "
        "e.getBoundingClientRect()); return all.some((a, i) => all.slice(i + 1).some(b => "
        "a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)); })()"
    )
    for width in (1200, 390):
        page.open(address, width=width)
        page.evaluate(CLICK.format(THREE))
        page.wait(f"{FACES} === 3")
        assert page.evaluate(touching) is False

"""Characters that the font of a preparation's pictures lacks."""

import warnings

import pytest
from matplotlib.figure import Figure

from faceemo.data.prepare import glyphs, sheet


@pytest.fixture
def figure():
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, "开心\nfröhlich")
    figure.text(0.1, 0.2, "sad")
    return figure


def test_characters_without_a_font_are_numbers_and_a_note_says_so(figure, monkeypatch, tmp_path):
    monkeypatch.setattr(glyphs, "_find_font", lambda _: None)
    with warnings.catch_warnings(action="error"):
        sheet.save_figure(figure, tmp_path / "a.png")
    assert [text.get_text() for text in figure.texts[:2]] == ["\\u5f00\\u5fc3\nfröhlich", "sad"]
    assert "Unicode numbers" in figure.texts[2].get_text()


def test_an_installed_font_that_has_them_is_used(figure, monkeypatch):
    asked = []
    monkeypatch.setattr(
        glyphs, "_find_font", lambda missing: asked.append(missing) or "STIXGeneral"
    )
    glyphs.complete_fonts(figure)
    assert asked == [{"开", "心"}]
    assert figure.texts[0].get_fontfamily()[-1] == "STIXGeneral"
    assert len(figure.texts[0].get_fontfamily()) > 1
    assert figure.texts[0].get_text() == "开心\nfröhlich"
    assert len(figure.texts) == 2


def test_a_font_has_all_characters_that_are_asked_for():
    assert glyphs._find_font(frozenset("aä")) is not None
    assert glyphs._find_font(frozenset("a\U0010fffd")) is None, "a private character"

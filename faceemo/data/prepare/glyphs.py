"""Makes the text of a figure readable where the figures' font lacks characters."""

import functools

from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text

_NOTE = "Characters that no font on this machine has are shown as their Unicode numbers."


def complete_fonts(figure: Figure) -> None:
    r"""Gives texts whose font lacks characters a second font, or else shows `\u7b11` for them.

    Chinese names of classes, for example, need a font that the machine may or may not have. Where
    numbers stand in place of characters, a note at the lower edge says so.
    """
    escaped = False
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        known = _list_characters(font_manager.findfont(text.get_fontproperties()))
        missing = frozenset(text.get_text()) - known - {"\n"}
        if not missing:
            continue
        if name := _find_font(missing):
            text.set_fontfamily([*text.get_fontfamily(), name])
        else:
            letters = (_escape(one) if one in missing else one for one in text.get_text())
            text.set_text("".join(letters))
            escaped = True
    if escaped:
        figure.text(0.005, 0.005, _NOTE, size=7, va="bottom")


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")


@functools.cache
def _find_font(characters: frozenset[str]) -> str | None:
    """Returns the name of an installed font that has all of some characters."""
    for font in font_manager.fontManager.ttflist:
        # matplotlib's font of last resort has boxes for all of Unicode.
        if not font.name.startswith("Last Resort") and characters <= _list_characters(font.fname):
            return font.name
    return None


@functools.cache
def _list_characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, ft2font.FT2Font(path).get_charmap()))

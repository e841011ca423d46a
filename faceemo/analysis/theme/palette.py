"""Colours of every figure and page, in a light and a dark theme."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours as hex strings; the hues are from Okabe and Ito's colour-blind-safe palette.

    `first`, `second` and `third` also differ in lightness, so that they stay apart in grey print.
    """

    paper: str
    ink: str
    muted: str  # axes, notes, baselines
    faint: str  # grids and bars' backgrounds
    first: str  # the subject of a figure: the evaluated split
    second: str  # what the subject is compared with: training
    second_text: str  # the same for text, which needs more contrast than lines
    third: str  # a further series beside them


LIGHT = Theme(
    paper="#ffffff",
    ink="#1a1a1a",
    muted="#5f6368",
    faint="#e4e6e8",
    first="#0072b2",
    second="#e08214",
    second_text="#a85a00",
    third="#5b1e4b",
)
DARK = Theme(
    paper="#16181b",
    ink="#e8e8e6",
    muted="#a0a4a8",
    faint="#33373b",
    first="#56b4e9",
    second="#ffd08a",
    second_text="#ffd08a",
    third="#a0558c",
)


def text_colour_on(background: str) -> str:
    """Returns black or white, whichever contrasts more with `background`, as a hex string.

    The contrast is WCAG's ratio, which is then at least 4.5.

    Args:
        background: Colour such as '#0072b2'.
    """
    luminance = _luminance(background)
    contrasts = {"#000000": (luminance + 0.05) / 0.05, "#ffffff": 1.05 / (luminance + 0.05)}
    return max(contrasts, key=contrasts.__getitem__)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (byte / 255 for byte in bytes.fromhex(colour.removeprefix("#")))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

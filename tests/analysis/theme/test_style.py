import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv, to_rgb

from faceemo.analysis.theme import palette, style


def luminance(colour):
    """Returns WCAG 2's relative luminance (CIE's Y) of '#rrggbb'."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    """Returns WCAG 2's contrast ratio of two colours '#rrggbb'."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_text_is_readable(theme):
    assert contrast(theme.ink, theme.paper) > 12
    for words in (theme.muted, theme.first, theme.second_text):
        assert contrast(words, theme.paper) > 4.5


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_compared_colours_differ_in_hue_and_in_grey_print(theme):
    """The difference is 15 of CIE's L* (0 to 100) and an eighth of the circle of hues."""
    for one, other in itertools.combinations((theme.first, theme.second, theme.third), 2):
        lightness = [116 * luminance(colour) ** (1 / 3) - 16 for colour in (one, other)]
        assert abs(lightness[0] - lightness[1]) > 15
        hues = [rgb_to_hsv(to_rgb(colour))[0] for colour in (one, other)]
        assert 1 / 8 < abs(hues[0] - hues[1]) < 7 / 8


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_numbers_are_readable_on_every_shade_of_the_matrix(theme):
    shades = style.make_colormap(theme)
    for step in range(101):
        red, green, blue, _ = shades(step / 100, bytes=True)
        back = f"#{red:02x}{green:02x}{blue:02x}"
        assert contrast(palette.text_colour_on(back), back) >= 4.5


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.01, 0.3))
def test_spread_labels_keep_their_distance_and_order(positions, gap):
    moved = style.spread(positions, gap)
    assert len(moved) == len(positions)
    ranks = sorted(range(len(positions)), key=lambda i: (positions[i], i))
    for below, above in itertools.pairwise(ranks):
        assert moved[above] - moved[below] >= gap - 1e-9
    assert sum(moved) == pytest.approx(sum(positions))


def test_far_labels_do_not_move():
    assert style.spread([0.9, 0.1, 0.5], 0.2) == pytest.approx([0.9, 0.1, 0.5])

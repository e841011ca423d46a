"""Colour is read as Pillow converts it, and told from grey pixels that are stored in channels."""

import io

import numpy as np
import pytest
from PIL import Image

from faceemo.config import ImageFormat
from faceemo.data.measure import colour
from faceemo.data.measure.decode import decode, load_small, open_image, read_grey, read_image
from tests.support.data.tinted import draw_tinted

FACE = draw_tinted("warm", 0, 60)


def encode(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("side", [60, 41])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_is_that_of_pillow_in_the_order_red_green_blue(tmp_path, mode, side):
    image = Image.fromarray(FACE).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(FACE[..., 0]))  # which must not darken it
    path = tmp_path / "image"
    path.write_bytes(encode(image, "TIFF" if mode == "CMYK" else "PNG"))
    found = read_image(path, ImageFormat(side, "rgb"))
    assert found.shape == (side, side, 3)
    with Image.open(path) as stored:
        expected = stored.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, expected)
    assert found[..., 0].mean() > 1.5 * found[..., 2].mean(), "a warm face has more red than blue"
    # what the predictor is given has the same pixels
    pixels = decode(path.read_bytes()).pixels
    np.testing.assert_array_equal(
        Image.fromarray(pixels.bgr[..., ::-1].copy()).resize((side, side), 2), expected
    )


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "RGB"])
def test_a_grey_file_has_its_grey_pixels_in_all_three_channels(tmp_path, mode):
    grey = Image.fromarray(FACE).convert("L")
    wide = np.asarray(grey).astype(np.uint16) * 257
    image = Image.fromarray(wide) if mode == "I;16" else grey.convert(mode)
    path = tmp_path / "x.png"
    path.write_bytes(encode(image))
    found = read_image(path, ImageFormat(48, "rgb"))
    expected = read_grey(path, 48)
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], expected)
    assert colour.count_colourless(np.stack([found, draw_tinted("cold", 1, 48)])) == 1


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(FACE), True),
        (Image.fromarray(FACE).convert("P"), True),
        (Image.fromarray(FACE).convert("L"), False),
        (Image.fromarray(FACE).convert("L").convert("RGB"), False),
        (Image.new("RGBA", (60, 60), (90, 90, 90, 40)), False),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_only_pixels_tell_whether_an_image_shows_colour(image, expected, form):
    if form == "JPEG":
        image = image.convert("RGB")
    content = encode(image.resize((300, 300)), form)
    with open_image(content) as opened:
        assert colour.shows_colour(load_small(opened, len(content), 32)) == expected


def test_grey_levels_are_pillows_and_grey_images_stay_as_they_are():
    images = np.stack([FACE, FACE[::-1]])
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    np.testing.assert_array_equal(colour.to_grey_levels(images), np.stack(expected))
    grey = images[..., 0]
    assert colour.to_grey_levels(grey) is grey

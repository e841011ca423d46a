"""Images of very many pixels: photographs are halved, decompression bombs are refused."""

import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from faceemo.data.measure import decode as module
from faceemo.data.measure.decode import Pixels, decode, read_grey, resize_square
from tests.support.data.faces import face


@pytest.fixture
def few_pixels(monkeypatch):
    """Makes images of more than 5000 pixels huge."""
    monkeypatch.setattr(module, "_MAX_WHOLE_PIXELS", 5000)


def stored(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_huge_photograph_is_halved(few_pixels, tmp_path, kind, orientation):
    grey = face(4, 101)[:, :67]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    image = Image.fromarray(np.stack([grey, grey, 255 - grey], -1))
    content = stored(image, kind, exif=exif.tobytes(), **options)
    pixels = decode(content).pixels
    image.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(image)
    expected = np.asarray(upright.reduce(2)).astype(int)
    assert (pixels.size, pixels.reduction) == (upright.size, 2)
    assert pixels.bgr.shape == expected.shape
    assert pixels.grey.shape == expected.shape[:2]
    assert np.abs(pixels.bgr[..., ::-1] - expected).mean() < 8
    path = tmp_path / "huge"
    path.write_bytes(content)
    np.testing.assert_array_equal(
        read_grey(path, 48), resize_square(Image.fromarray(pixels.grey), 48)
    )


def test_smaller_photographs_and_huge_arrays(few_pixels):
    small = Pixels.from_image(Image.fromarray(face(1, 70)))
    assert (small.size, small.reduction, small.grey.shape) == ((70, 70), 1, (70, 70))
    huge = Pixels.from_image(Image.fromarray(face(1, 80)))
    assert (huge.size, huge.reduction, huge.grey.shape) == ((80, 80), 2, (40, 40))


def test_the_limits_are_those_of_faceemo_not_of_pillow(monkeypatch):
    content = stored(Image.fromarray(face(1, 96)), "JPEG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(content).pixels is not None
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    monkeypatch.setattr(module, "MAX_PIXELS", 9000)
    assert decode(content).problem == (
        "96 × 96 pixels, more than the 0 million that are decoded; scale it down"
    )


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_a_bomb_is_refused_before_its_pixels_are_decoded(monkeypatch, kind):
    content = bytearray(stored(Image.new("L", (16, 16)), kind))
    if kind == "PNG":
        content[16:24] = (50_000).to_bytes(4, "big") + (40_000).to_bytes(4, "big")
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    elif kind == "GIF":
        content[6:10] = (50_000).to_bytes(2, "little") + (40_000).to_bytes(2, "little")
    else:
        content[18:26] = (50_000).to_bytes(4, "little") + (40_000).to_bytes(4, "little")
    monkeypatch.setattr(module.metadata, "turn_upright", lambda _: pytest.fail("was decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = decode(bytes(content)).problem
    assert problem.startswith("50,000 × 40,000 pixels in")
    assert problem.endswith("which no photograph has: a decompression bomb")

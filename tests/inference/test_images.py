"""Images in memory: arrays of every library, open files, and advice that fits what is no image."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from faceemo.errors import UserError
from faceemo.inference.images import load_images
from tests.support.data.faces import face, png

GREY = face(0)
COLOUR = np.stack([face(1), face(2), face(3)], -1)
ALPHA = np.concatenate([COLOUR, face(0)[..., None]], -1)


def load(images):
    return [(one.name, one.pixels.grey, one.pixels.bgr) for one in load_images(images)]


def check(images, *expected):
    """Checks the pixels of images against grey or colour arrays."""
    loaded = load(images)
    assert len(loaded) == len(expected)
    for (_, grey, bgr), right in zip(loaded, expected, strict=True):
        np.testing.assert_array_equal(grey, np.asarray(Image.fromarray(right).convert("L")))
        rgb = right if right.ndim == 3 else np.stack([right] * 3, -1)
        np.testing.assert_array_equal(bgr[..., ::-1], rgb)


class Foreign:
    """An array of another library, which NumPy can read."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        if isinstance(self._array, Exception):
            raise self._array
        return self._array


Tensor = type("Tensor", (Foreign,), {"__module__": "torch"})


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, Tensor])
def test_arrays_of_every_library_and_clear_shape(make):
    check(make(GREY), GREY)
    check(make(GREY[..., None]), GREY)
    check(make(COLOUR), COLOUR)
    check(make(ALPHA), COLOUR)
    check(make(np.stack([GREY, GREY.T])), GREY, GREY.T)
    check(make(np.stack([COLOUR, COLOUR[::-1]])), COLOUR, COLOUR[::-1])
    check(make(np.stack([ALPHA, ALPHA[::-1]])), COLOUR, COLOUR[::-1])
    check(make(np.stack([GREY, GREY.T])[..., None]), GREY, GREY.T)
    check(make(np.stack([GREY, GREY.T])[:, None]), GREY, GREY.T)
    check(make(COLOUR.transpose(2, 0, 1)[None]), COLOUR)
    check([make(COLOUR), make(GREY[None])], COLOUR, GREY)


def test_three_planes_are_three_grey_images_except_in_pytorch_where_they_may_be_colours():
    planes = COLOUR.transpose(2, 0, 1)
    check(planes, *planes)
    with pytest.raises(UserError, match=r"permute\(1, 2, 0\).*x\[:, None\]"):
        load(Tensor(planes))


def test_open_files_and_content_in_memory(tmp_path):
    content = png(Image.fromarray(COLOUR))
    stream = io.BytesIO()
    stream.write(content)  # leaves the position at the end
    check(stream, COLOUR)
    path = tmp_path / "face.png"
    path.write_bytes(content)
    with path.open("rb") as file:
        check([file, io.BytesIO(content)], COLOUR, COLOUR)
        assert load(file)[0][0] == str(path)
    assert load(io.BytesIO(content))[0][0] == "image 0"

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation("seek")

    check(Pipe(content), COLOUR)
    (broken,) = load_images(io.BytesIO(b"no image"))
    assert (broken.pixels, broken.problem) == (None, "not an image file")


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (GREY / np.float32(255), r"0\.\.1: \(255 \* np\.asarray\(x\)\)\.round"),
        (GREY.astype(np.float64), r"0\.\.255 already: np\.asarray\(x\)\.round\(\)\.astype"),
        (GREY / 127.5 - 1, r"-1\.\.1: \(127\.5 \* \(np\.asarray\(x\) \+ 1\)\)"),
        (GREY - 104.0, r"scale the pixels from -\d+\.?\d*\.\.\d+\.?\d* to 0\.\.255"),
        (jnp.asarray(GREY, int), r"0\.\.255 already: np\.asarray\(x\)\.astype"),
        (GREY.astype(np.uint16) * 257, r"x\) // 257"),
        (GREY > 99, r"\* 255, if True is white"),
        (np.array([GREY, "x"], object), "array of numbers"),
        (COLOUR[..., :2], r"x\[\.\.\., 0\]"),
        (np.zeros((2, 2, 9, 9, 3), np.uint8), "one image, or a batch"),
        (np.zeros((0, 48), np.uint8), "empty"),
        (np.zeros((0, 48), np.float32), "empty"),
        (Tensor(TypeError("can't convert cuda:0\nto numpy")), r"x\.detach\(\)\.cpu\(\)"),
        (None, r"cv2\.imread returns None"),
        (b"\x89PNG", r"io\.BytesIO\(content\)"),
        ({"a": GREY}, r"list\(x\.values\(\)\)"),
        ({1, 2}, "order of the images"),
        (7, r"numpy\.asarray or PIL"),
        ([[1, 2], [3, 4]], r"numpy\.asarray"),
        (io.StringIO("text"), "mode 'rb'"),
    ],
)
def test_advice_fits_what_was_given(images, advice):
    with pytest.raises(UserError, match=advice) as error:
        load(images)
    assert "\n" not in str(error.value)


def test_a_closed_file_is_refused(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(png(Image.fromarray(GREY)))
    with path.open("rb") as file:
        pass
    with pytest.raises(UserError, match="before the file is closed"):
        load(file)

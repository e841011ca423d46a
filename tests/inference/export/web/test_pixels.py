"""The page resizes and cuts number for number as Pillow and OpenCV do."""

import base64
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo.config.image_format import RGB, ImageFormat
from faceemo.data.measure.decode import Pixels
from faceemo.inference.faces import cut_square

pytestmark = pytest.mark.slow

# Height and width before and after: larger, smaller, by two, by whole numbers, oblong, single rows.
SIZES = (
    *((37, 53, 48, 48), (48, 48, 120, 120), (90, 120, 52, 52), (96, 128, 48, 64)),
    *((90, 150, 30, 30), (101, 1, 48, 48), (1, 9, 4, 4), (61, 33, 64, 32), (7, 5, 30, 30)),
)
CALL = """
window.found = null;
(async () => {{
  const {{ {names} }} = await import('/{module}');
  const data = Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0));
  const picture = {{ data, width: {width}, height: {height}, channels: {channels} }};
  const pictures = {pictures};
  window.found = pictures.map(({{ data }}) => btoa(String.fromCharCode(...data)));
}})()
"""


def run(page, picture, module, names, pictures):
    """Calls functions of a module on a picture; returns the bytes of each result."""
    height, width, channels = picture.shape
    page.evaluate(
        CALL.format(
            names=names,
            module=module,
            data=base64.b64encode(picture.tobytes()).decode(),
            width=width,
            height=height,
            channels=channels,
            pictures=pictures,
        )
    )
    found = page.wait("window.found")
    return [np.frombuffer(base64.b64decode(one), np.uint8) for one in found]


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_that_of_pillow_and_opencv(page, size):
    before, after = size[:2], size[2:]
    rng = np.random.default_rng(size)
    picture = rng.integers(0, 256, (*before, 4), np.uint8)
    names = ("resizeAsPillow", "resizeAsOpenCv", "resizeByArea")
    calls = ", ".join(f"{name}(picture, {after[1]}, {after[0]})" for name in names)
    found = run(page, picture, "resize.js", ", ".join(names), f"[{calls}]")
    wide = after[::-1]
    channels = [Image.fromarray(np.ascontiguousarray(one)) for one in np.moveaxis(picture, -1, 0)]
    expected = (
        np.stack([np.asarray(one.resize(wide, Image.Resampling.BILINEAR)) for one in channels], -1),
        cv2.resize(picture, wide),
        cv2.resize(picture, wide, interpolation=cv2.INTER_AREA),
    )
    for name, one, other in zip(names, found, expected, strict=True):
        np.testing.assert_array_equal(one, other.ravel(), err_msg=name)


@pytest.mark.parametrize("form", [ImageFormat(48), ImageFormat(48, RGB)])
def test_crops_are_those_of_the_predictor(page, form):
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (70, 90, 4), np.uint8)
    boxes = [(10, 5, 60, 55), (-20, -10, 50, 60), (60, 40, 131, 111), (0, 0, 90, 70)]
    about = {
        "image": {"channels": "RGB" if form.in_colour else "grey"},
        "resize": {"side": form.size},
    }
    calls = f"{json.dumps(boxes)}.map((box) => takeCrop(picture, box, {json.dumps(about)}))"
    found = run(page, picture, "faces.js", "takeCrop", calls)
    pixels = Pixels.from_image(Image.fromarray(picture[..., :3]))
    for box, one in zip(boxes, found, strict=True):
        np.testing.assert_array_equal(one, cut_square(pixels, box, form).ravel())

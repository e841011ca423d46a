"""The automatic format is that of the source's pixels, as far as the network can see it."""

import numpy as np
import pytest
from PIL import Image

from faceemo.config import ImageFormat, make_config
from faceemo.config.image_format import list_automatic
from faceemo.data import auto_format
from tests.support.data.tinted import draw_tinted

AUTO = "native_size=0,channels=auto"


def write(folder, change, side=60):
    """Writes six faces of each class after `change(image)`."""
    for label in ("cold", "warm"):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            image = change(Image.fromarray(draw_tinted(label, number, side)), number)
            image.save(folder / label / f"{number}.png")
    return folder


def find(folder, root, arg=AUTO):
    config = make_config("mobilenet", f"0,image_size=96,classes=cold+warm,{arg}")
    config.source = str(folder)
    form, reason = auto_format.find(config, root)
    assert bool(reason) == bool(list_automatic(config))
    return form


@pytest.mark.parametrize(
    ("change", "side", "expected"),
    [
        (lambda image, _: image, 60, ImageFormat(60, "rgb")),
        (lambda image, _: image, 200, ImageFormat(96, "rgb")),
        (lambda image, _: image.convert("L"), 48, ImageFormat(48, "grey")),
        (lambda image, _: image.convert("L").convert("RGB"), 48, ImageFormat(48, "grey")),
        (lambda image, number: image.convert("L" if number % 2 else "RGB"), 60,
         ImageFormat(60, "grey")),
        (lambda image, _: image.resize((70, 50)), 60, ImageFormat(50, "rgb")),
    ],
)  # fmt: skip
def test_side_and_colour_are_those_of_most_images(tmp_path, change, side, expected):
    assert find(write(tmp_path / "faces", change, side), tmp_path / "data") == expected


def test_a_value_that_is_given_stays(tmp_path):
    folder = write(tmp_path / "faces", lambda image, _: image)
    assert find(folder, tmp_path, "channels=auto") == ImageFormat(48, "rgb")
    assert find(folder, tmp_path, "native_size=0") == ImageFormat(60, "grey")
    assert find(folder, tmp_path, "native_size=20,channels=rgb") == ImageFormat(20, "rgb")


def test_drawn_faces_and_a_configuration_without_automatic_values_need_no_source(tmp_path):
    config = make_config("vgg16", f"7,dataset=sample,{AUTO}")
    assert auto_format.find(config, tmp_path)[0] == ImageFormat(48, "grey")
    assert auto_format.find(make_config("vgg16"), tmp_path) == (ImageFormat(48, "grey"), "")


def test_the_found_format_replaces_the_automatic_values_and_nothing_else():
    config = make_config("vgg16", f"7,{AUTO}")
    with pytest.raises(ValueError, match="native_size and channels"):
        ImageFormat.from_config(config)
    form = ImageFormat(100, "rgb")
    replaced = auto_format.replace(config, form)
    assert ImageFormat.from_config(replaced) == form
    assert config.channels == "auto", "the user's own configuration stays"
    assert replaced == make_config("vgg16", "7,native_size=100,channels=rgb")
    assert auto_format.describe(config, form, "why").endswith("native_size=100 channels=rgb: why")


def test_fer2013_is_grey_with_48_pixels(tmp_path):
    """Its images come as a csv of grey pixels."""
    rows = "\n".join(
        f"{number % 2 * 3},{' '.join(map(str, np.arange(2304) % (60 + number)))},Training"
        for number in range(8)
    )
    csv = tmp_path / "fer2013.csv"
    csv.write_text(f"emotion,pixels,Usage\n{rows}\n", encoding="utf-8")
    config = make_config("vgg16", f"7,{AUTO},classes=angry+happy")
    config.source = str(csv)
    assert auto_format.find(config, tmp_path)[0] == ImageFormat(48, "grey")

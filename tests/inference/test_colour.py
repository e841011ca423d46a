"""A network that sees colour is given the pixels that its training images had."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

import faceemo
from faceemo.commands import cli
from faceemo.config import ImageFormat
from faceemo.data.measure.decode import decode, read_image
from faceemo.inference import explain
from faceemo.inference.faces import FaceFinder, cut_square
from tests.support.data.tinted import draw_tinted
from tests.support.inference import networks


@pytest.fixture
def network(tmp_path):
    return networks.write(tmp_path, "mobilenet", native_size=40, channels="rgb")


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_a_whole_image_is_read_as_a_training_image_is(tmp_path):
    form = ImageFormat(40, "rgb")
    for mode in ("RGB", "RGBA", "L", "P"):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(draw_tinted("warm", 3, 90)[:80]).convert(mode).save(path)
        crop = FaceFinder(form, 0.5).take_whole(decode(path.read_bytes()).pixels).crop
        np.testing.assert_array_equal(crop, read_image(path, form))
        assert crop.flags.c_contiguous


def test_a_face_is_cut_out_in_colour_and_continued_at_the_edge(tmp_path):
    drawn = draw_tinted("cold", 1, 60)
    pixels = decode(save(tmp_path / "a.png", drawn).read_bytes()).pixels
    padded = np.pad(drawn, ((0, 0), (10, 0), (0, 0)), mode="edge")[20:50, :30]
    found = cut_square(pixels, (-10, 20, 20, 50), ImageFormat(30, "rgb"))
    np.testing.assert_array_equal(found, padded)


@pytest.mark.slow
def test_predictions_depend_on_colour_and_grey_images_are_told(network, tmp_path, capsys):
    drawn = draw_tinted("warm", 2, 40)
    grey = np.asarray(Image.fromarray(drawn).convert("L"))
    colour_file, grey_file = save(tmp_path / "c.png", drawn), save(tmp_path / "g.png", grey)
    predictor = faceemo.load(network)
    expected = predictor.probabilities(np.stack([drawn, np.repeat(grey[..., None], 3, -1)]))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    out = tmp_path / "out.csv"
    arguments = ["predict", str(network), str(colour_file), str(grey_file), "--crops"]
    assert cli.main([*arguments, "--format", "csv", "--out", str(out)]) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    found = [[float(row[name]) for name in predictor.classes] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    told = capsys.readouterr().err
    assert "1 image has no colour" in told
    assert "g.png" in told
    assert "c.png" not in told


@pytest.mark.slow
def test_explanations_are_drawn_in_colour(network, tmp_path, monkeypatch):
    drawn = draw_tinted("warm", 2, 40)
    seen = []
    real = explain.draw_explanation
    monkeypatch.setattr(explain, "draw_explanation", lambda one: seen.append(one) or real(one))
    explain.explain(network, [save(tmp_path / "c.png", drawn)], tmp_path / "out", crops=True)
    (one,) = seen
    np.testing.assert_array_equal(one.crop, drawn)
    assert one.fall.shape == (40, 40)
    (picture,) = (tmp_path / "out").glob("*.png")
    with Image.open(picture) as opened:
        shown = np.asarray(opened.convert("RGB")).astype(int)
    face = shown[150:250, 20:120]
    assert face[..., 0].mean() > face[..., 2].mean() + 20, "a warm face"

"""faceemo's own weight files return all arrays and the preprocessing, or one error."""

import numpy as np
import pytest

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models import build, conversion, load_weights
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import npz

pytestmark = pytest.mark.slow

PREPROCESSING = Preprocessing(reverse_channels=True, scale=0.5, mean=(1.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def model():
    return build(make_config("vgg16", "0,weights=none,image_size=32"))


@pytest.fixture(scope="module")
def arrays(model):
    rng = np.random.default_rng(0)
    backbone = model.shapes()["params"]["backbone"]
    return {
        f"{layer}/{name}": rng.normal(0, 0.05, leaf.shape).astype(np.float32)
        for layer, leaves in backbone.items()
        for name, leaf in leaves.items()
    }


@pytest.fixture(scope="module")
def written(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "weights.npz"
    npz.write(path, "vgg16", arrays, PREPROCESSING)
    return path


def test_every_array_and_the_preprocessing_are_read_back(model, arrays, written):
    variables, preprocessing, source = load_weights(model, model.shapes(), str(written))
    assert preprocessing == PREPROCESSING
    assert source["source"] == str(written)
    for name, array in arrays.items():
        layer, weight = name.split("/")
        np.testing.assert_array_equal(variables["params"]["backbone"][layer][weight], array)


def test_a_converted_file_has_the_checksum_of_its_source(written, tmp_path):
    report = conversion.convert("vgg16", str(written), tmp_path / "copy.npz")
    again = conversion.convert("vgg16", str(tmp_path / "copy.npz"))
    (one,), (two,) = (
        [line for line in text.splitlines() if line.startswith("checksum")]
        for text in (report, again)
    )
    assert one == two
    assert "26 arrays, 14,714,688 numbers" in report
    assert "block5_conv3/kernel" in report


def test_the_checksum_notices_one_changed_kernel(arrays, written, tmp_path):
    changed = arrays | {"block3_conv2/kernel": arrays["block3_conv2/kernel"] * 1.01}
    npz.write(tmp_path / "other.npz", "vgg16", changed, PREPROCESSING)
    one, two = (
        conversion.convert("vgg16", str(path)).split("checksum")[1]
        for path in (written, tmp_path / "other.npz")
    )
    assert one.split("written")[0] != two


def test_all_problems_are_in_one_error(model, arrays, tmp_path):
    wrong = dict(arrays)
    del wrong["block1_conv1/bias"]
    wrong["block9/kernel"] = np.zeros((3, 3), np.float32)
    wrong["block2_conv1/bias"] = np.zeros(5, np.float32)
    npz.write(tmp_path / "wrong.npz", "vgg16", wrong, PREPROCESSING)
    with pytest.raises(UserError) as error:
        load_weights(model, model.shapes(), str(tmp_path / "wrong.npz"))
    for part in ("block1_conv1/bias is missing", "block9/kernel", "shape (5,) instead of (128,)"):
        assert part in str(error.value)


def test_weights_of_another_backbone_are_an_error(model, arrays, tmp_path):
    npz.write(tmp_path / "other.npz", "resnet50v2", arrays, PREPROCESSING)
    with pytest.raises(UserError, match="found weights of resnet50v2"):
        load_weights(model, model.shapes(), str(tmp_path / "other.npz"))


def test_a_damaged_file_is_one_error(model, written, tmp_path):
    data = written.read_bytes()
    for name, content in (
        ("short.npz", data[: len(data) // 2]),
        ("text.npz", b"not a zip"),
        ("empty.npz", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="convert_weights"):
            load_weights(model, model.shapes(), str(tmp_path / name))
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="convert_weights"):
        load_weights(model, model.shapes(), str(tmp_path / "foreign.npz"))
    assert not list(tmp_path.glob(".partial*"))

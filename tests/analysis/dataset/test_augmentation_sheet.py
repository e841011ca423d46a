"""The sheet of augmentations: chosen images, transforms, and the script."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from faceemo.analysis.dataset import augmentation_sheet
from faceemo.config import AUGMENTATIONS, CLASSES, ImageFormat
from faceemo.data.augment.augment import enlarge
from faceemo.errors import UserError
from tests.support.places import SCRIPTS

pytestmark = pytest.mark.slow

SCRIPT = SCRIPTS / "view_augmentations.py"


@pytest.fixture
def root(tmp_path):
    """Makes ten prepared images per class; class c has the mean brightness 40 + 50 c."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(CLASSES):
        folder = tmp_path / "unique_images" / "train" / name
        folder.mkdir(parents=True)
        for number in range(10):
            image = rng.integers(20 + 50 * index, 60 + 50 * index, size=(48, 48), dtype=np.uint8)
            Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path


def test_one_image_of_every_class_by_seed(root):
    chosen = augmentation_sheet.choose_images(root, 0)
    assert chosen.shape == (4, 48, 48)
    assert chosen.dtype == np.uint8
    np.testing.assert_allclose(chosen.mean(axis=(1, 2)), [40, 90, 140, 190], atol=3)
    np.testing.assert_array_equal(chosen, augmentation_sheet.choose_images(root, 0))
    others = [augmentation_sheet.choose_images(root, seed) for seed in range(1, 6)]
    assert any((chosen != other).any() for other in others)


def test_other_sizes_and_modes_are_accepted(root):
    folder = root / "unique_images" / "train" / "sad"
    for path in folder.iterdir():
        Image.new("RGB", (100, 80), (200, 200, 200)).save(path)
    assert augmentation_sheet.choose_images(root, 0, ImageFormat(32)).shape == (4, 32, 32)


def test_missing_data_is_a_clear_message(root):
    folder = root / "unique_images" / "train" / "surprise"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"train/surprise; found none.*faceemo prepare"):
        augmentation_sheet.choose_images(root, 0)


def test_each_column_is_its_transform(root):
    images = jnp.asarray(augmentation_sheet.choose_images(root, 0))
    columns = augmentation_sheet.make_transforms(AUGMENTATIONS["high"])
    results = {head.split("\n")[0] + head.split("\n")[1]: apply(images)
               for head, apply in columns.items()}  # fmt: skip
    original = np.asarray(enlarge(images, augmentation_sheet.SIDE))
    np.testing.assert_allclose(results["original"], original, atol=1e-2)
    np.testing.assert_allclose(results["flip"], original[:, :, ::-1], atol=1e-2)
    np.testing.assert_allclose(results["gamma0.5"], 255 * np.sqrt(original / 255), atol=0.1)
    np.testing.assert_allclose(results["gamma2"], 255 * (original / 255) ** 2, atol=0.1)
    stretched = np.asarray(results["contraststretch"])
    assert np.ptp(stretched, axis=(1, 2)) == pytest.approx([255] * 4, abs=0.01)
    for name in ("shift5%, 5%", "zoom0.95 × 1.05", "rotation15°"):
        assert np.abs(np.asarray(results[name]) - original).mean() > 1


def test_sheet_has_a_row_per_class_and_a_column_per_transform_and_draw(root):
    images = augmentation_sheet.choose_images(root, 0)
    figure = augmentation_sheet.draw_augmentation_sheet(images, 0)
    shown = np.stack([np.asarray(axes.images[0].get_array()) for axes in figure.axes])
    levels = len(AUGMENTATIONS) - 1  # "none" draws nothing
    assert len(shown) == 4 * (8 + levels * augmentation_sheet.DRAWS)
    draws = shown[4 * 8 :]
    distinct = {face.tobytes() for face in draws}
    assert len(distinct) == len(draws)  # no draw and no level repeats another


def test_script_writes_the_sheet(root):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--data_dir", root], capture_output=True, text=True, check=True
    )
    path = root / "pictures" / "augmentations.png"
    assert str(path) in done.stdout
    assert np.asarray(Image.open(path).convert("L")).std() > 10


def test_script_without_data_fails_with_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--data_dir", tmp_path, "--dataset", "sample"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sample/unique_images" in done.stderr

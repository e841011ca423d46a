"""Frozen features that are the same for every image are found before a head trains on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.config import make_config
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.train.checks import dead_features
from faceemo.train.start import Start
from tests.support.train.tiny import make_model, make_split, make_start, tiny_config

HEAD = ("head",)


def check(config, start, split):
    """Measures the features and refuses dead ones, as the loop does; returns their share."""
    share = dead_features.measure(config, start, split)
    dead_features.refuse(config, start, share)
    return share


def start_with_features(scale, trained=HEAD):
    """The tiny model with its features multiplied by `scale`."""
    model = make_model(trained)
    alive = model.features
    model.features = lambda *arguments: (scale * alive(*arguments)[0], {})
    return make_start(model)


@pytest.mark.parametrize("weights", ["faceres", "builtin"])
def test_sizes_at_which_mobilenets_features_are_dead_are_refused(weights):
    config = make_config("mobilenet", f"0,weights={weights},image_size=48")
    with pytest.raises(UserError, match=r"^expected image_size=64 or more.*=48.*image_size=128"):
        dead_features.refuse_known(config)
    for change in ("image_size=64", "image_size=48,unfreeze=all", "image_size=48,unfreeze=1"):
        dead_features.refuse_known(make_config("mobilenet", f"0,weights={weights},{change}"))
    dead_features.refuse_known(make_config("vgg16", "0,image_size=32"))


def test_a_head_on_dead_features_is_refused_with_their_share():
    config = tiny_config(weights="hed")
    with pytest.raises(UserError, match=r"100\.0% of the features .* up to 16 .*=hed.*=all"):
        check(config, start_with_features(0.0), make_split(70, 0))
    with pytest.raises(UserError, match="features"):
        check(config, start_with_features(1e-6), make_split(70, 0))
    assert check(config, start_with_features(1.0), make_split(70, 0)) == 0


def test_random_weights_and_trained_blocks_are_warned_of(capsys):
    split = make_split(70, 0)
    assert check(tiny_config(), start_with_features(0.0), split) == 1
    assert capsys.readouterr().err.startswith("warning: 100.0% of the features")
    some, whole = ("top", *HEAD), ("low", "top", *HEAD)
    assert check(tiny_config(weights="hed"), start_with_features(0.0, some), split) == 1
    assert "may learn slowly or not at all. Fix: give a larger" in capsys.readouterr().err
    assert check(tiny_config(), start_with_features(0.0, some), split) == 0
    assert check(tiny_config(weights="hed"), start_with_features(0.0, whole), split) == 0
    assert capsys.readouterr().err == ""


def test_the_share_counts_features_that_vary_between_images():
    """Half of the features are constant, and one image of all would hide the others."""
    split = make_split(70, 0)
    start = start_with_features(jnp.array([[0.0, 1, 0, 1, 0, 1]]))
    assert check(tiny_config(weights="hed"), start, split) == 0.5


@pytest.mark.slow
def test_the_shipped_network_is_dead_at_48_pixels_and_not_at_64():
    images = np.random.default_rng(2).integers(0, 256, (8, 48, 48), dtype=np.uint8)
    smooth = np.asarray(jax.image.resize(images[:, :6, :6], images.shape, "cubic"))
    split = Split(smooth.clip(0, 255).astype(np.uint8), np.zeros(8, np.int32), ("",) * 8)
    shares = []
    for size in (48, 64):
        config = make_config("mobilenet", f"0,weights=builtin,image_size={size}")
        shares.append(dead_features.measure(config, Start.from_config(config), split))
    assert shares[0] > dead_features.DEAD
    assert shares[1] < dead_features.DEAD

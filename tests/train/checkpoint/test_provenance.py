"""A recipe names the runs behind its weights, which may have seen its validation images."""

import dataclasses

import numpy as np
import pytest
from ml_collections import ConfigDict

from faceemo import models
from faceemo.config import make_config
from faceemo.models import conversion
from faceemo.train.checkpoint.provenance import check_inherited_images, find_ancestors, make_recipe
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.models import keras_like
from tests.support.train.tiny import make_splits


def make_recipe_from(weights, splits):
    config = make_config("mobilenet", f"2,image_size=32,weights={weights}")
    model = models.build(config)
    _, preprocessing, source = models.load_weights(model, keras_like.draw(model, 0), config.weights)
    return make_recipe(config, preprocessing, source, splits)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Two trained networks, the second of which started from a conversion of the first."""
    folder, splits = tmp_path_factory.mktemp("chain"), make_splits()
    first = make_recipe_from("none", splits)
    variables = keras_like.draw(models.build(ConfigDict(first["config"])), 5)
    TrainedModel.from_recipe(first, variables, 1.0, 1).save(folder / "first.npz")
    conversion.convert("mobilenet", str(folder / "first.npz"), folder / "backbone.npz")
    second = make_recipe_from(folder / "backbone.npz", splits)
    TrainedModel.from_recipe(second, variables, 1.0, 1).save(folder / "second.npz")
    return folder, splits, first, second


def altered(split):
    """The same images except for one pixel."""
    images = split.images.copy()
    images[0, 0, 0] ^= np.uint8(1)
    return dataclasses.replace(split, images=images)


@pytest.mark.slow
def test_every_earlier_run_is_known_also_through_a_conversion(chain):
    folder, splits, first, second = chain
    third = make_recipe_from(folder / "second.npz", splits)
    assert find_ancestors(third) == [second, first]
    assert find_ancestors(first) == []
    kept = TrainedModel.load(folder / "second.npz")
    assert find_ancestors(kept.recipe) == [first]


def test_the_same_training_images_cause_no_warning(chain):
    folder, splits, first, _ = chain
    assert check_inherited_images(first) is None
    assert check_inherited_images(make_recipe_from(folder / "second.npz", splits)) is None


@pytest.mark.parametrize("file", ["first.npz", "backbone.npz", "second.npz"])
def test_one_other_pixel_in_train_causes_a_warning(chain, file):
    folder, splits, *_ = chain
    others = splits | {"train": altered(splits["train"])}
    warning = check_inherited_images(make_recipe_from(folder / file, others))
    assert warning is not None
    assert str(folder / file) in warning


def test_other_images_of_an_earlier_run_cause_a_warning(chain):
    """A run on the same images in between does not hide them."""
    folder, splits, *_ = chain
    others = splits | {"train": altered(splits["train"])}
    between = make_recipe_from(folder / "first.npz", others)
    variables = TrainedModel.load(folder / "first.npz").variables
    TrainedModel.from_recipe(between, variables, 1.0, 1).save(folder / "between.npz")
    assert check_inherited_images(make_recipe_from(folder / "between.npz", others))

"""Checks that whatever knows augmentation levels knows exactly those of `config.AUGMENTATIONS`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.analysis.dataset import augmentation_sheet
from faceemo.config import VARIANTS, make_config
from faceemo.config.augmentation import AUGMENTATIONS, Augmentation
from faceemo.data.pipeline import Batch
from faceemo.errors import UserError
from faceemo.models.preprocessing import IDENTITY
from faceemo.train import steps
from faceemo.train.eval_step import plain_inputs
from faceemo.train.state import TrainState
from tests.support.train.tiny import make_model, make_split


def test_levels_are_those_of_the_study():
    assert AUGMENTATIONS["none"] == Augmentation()
    assert AUGMENTATIONS["low"] == Augmentation(shift=0.05, zoom=0.05, flip=0.5)
    assert AUGMENTATIONS["mid"] == Augmentation(shift=0.05, zoom=0.05, flip=0.5, rotation=15)
    assert AUGMENTATIONS["high"] == Augmentation(0.05, 0.05, 0.5, 15, True, (0.5, 2.0))


def test_the_field_takes_every_level_and_its_message_names_them():
    names = ", ".join(f"'{name}'" for name in sorted(AUGMENTATIONS))
    with pytest.raises(UserError, match=f"augmentation='another'.*{names}"):
        make_config("vgg16", "augmentation=another")
    for name in AUGMENTATIONS:
        assert make_config("vgg16", f"augmentation={name}").augmentation == name


def test_the_variants_use_the_levels_of_the_study():
    assert {variant.augmentation for variant in VARIANTS} == {"none", "low", "mid", "high"}


@pytest.mark.slow
def test_the_sheet_shows_every_level_that_draws():
    figure = augmentation_sheet.draw_augmentation_sheet(make_split(4, 0).images, 0)
    titles = [text.get_text() for text in figure.texts]
    shown = [title.removesuffix(", drawn") for title in titles if title.endswith(", drawn")]
    assert shown == [name for name, limits in AUGMENTATIONS.items() if limits != Augmentation()]


def test_the_sheets_widest_limits_hold_those_of_every_level():
    widest = augmentation_sheet.widest_limits(AUGMENTATIONS.values())
    for limits in AUGMENTATIONS.values():
        assert augmentation_sheet.widest_limits([widest, limits]) == widest
    of_study = [AUGMENTATIONS[name] for name in ("none", "low", "mid", "high")]
    assert augmentation_sheet.widest_limits(of_study) == AUGMENTATIONS["high"]


@pytest.mark.slow
@pytest.mark.parametrize("level", AUGMENTATIONS)
def test_the_training_step_applies_every_level(level):
    split = make_split(4, 0)
    index = np.arange(4, dtype=np.int32)
    batch = Batch(split.images, split.labels, np.ones(4, np.float32), index)
    model, state = make_model(), TrainState(0, {}, {}, (), jax.random.PRNGKey(0))
    shown = steps.training_inputs(state, batch, jnp.int32(0), model, IDENTITY, level)
    plain = plain_inputs(split.images, model, IDENTITY)
    unchanged = np.allclose(shown.inputs, plain)
    assert unchanged == (AUGMENTATIONS[level] == Augmentation())

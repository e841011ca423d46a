"""Distillation follows its paper, on the very inputs that the student is trained on."""

import jax
import numpy as np
import optax
import pytest
from scipy import special

from faceemo.analysis import card
from faceemo.config import make_config
from faceemo.data.augment.mixing import Mixing
from faceemo.errors import UserError
from faceemo.experiments import run
from faceemo.train import feature_cache, freezing
from faceemo.train.checkpoint.provenance import check_inherited_images, make_recipe
from faceemo.train.distillation import Distillation, make_distillation
from faceemo.train.losses import distillation_loss
from tests.support.data import drawn_zip
from tests.support.inference import networks
from tests.support.models import small_network
from tests.support.train.recipe_steps import make_batch, make_teacher, train
from tests.support.train.tiny import GREY, make_splits, pixels, tiny_config

pytestmark = pytest.mark.slow

MIXING = Mixing(0.4, 1.0)


def descend(param_labels):
    """Makes an optimiser of plain gradient descent."""
    return optax.multi_transform(
        {freezing.TRAIN: optax.sgd(0.1), freezing.FREEZE: optax.set_to_zero()}, param_labels
    )


def train_plainly(distillation):
    """Takes three steps of plain gradient descent; returns the largest change and the last loss."""
    start, states, sums = train(
        make_batch(6),
        devices=2,
        noise=0,
        optimizer=descend,
        distillation=distillation,
        mixing=MIXING,
        erasing=0.7,
        label_smoothing=0.1,
    )
    change = jax.tree.map(lambda one, two: np.abs(one - two).max(), start.params, states[-1].params)
    return max(jax.tree.leaves(change)), sums["loss"]


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_network_that_only_teaches_itself_does_not_change(temperature):
    """This holds only if it gets exactly the teacher's inputs, image by image."""
    still, _ = train_plainly(Distillation([make_teacher(0)], 1.0, temperature))
    halfway, _ = train_plainly(Distillation([make_teacher(0)], 0.5, temperature))
    alone, _ = train_plainly(None)
    assert still < 1e-6
    assert halfway == pytest.approx(alone / 2, rel=0.2)
    assert alone > 1e-3


def test_loss_and_gradient_are_those_of_the_paper():
    """SciPy computes the cross-entropy of softened probabilities; its gradient is T (q - p)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 4)).astype(np.float32)
    theirs = rng.normal(size=(2, 5, 4))
    temperature = 2.5
    soft = special.softmax(theirs / temperature, axis=-1).mean(0)
    found = special.softmax(logits / temperature, axis=-1)
    np.testing.assert_allclose(
        distillation_loss(logits, np.float32(soft), temperature),
        temperature**2 * (special.rel_entr(soft, found) + special.entr(soft)).sum(-1),
        rtol=1e-5,
    )
    gradient = jax.grad(lambda x: distillation_loss(x, np.float32(soft), temperature).sum())(logits)
    np.testing.assert_allclose(gradient, temperature * (found - soft), atol=1e-5)


def test_probabilities_of_several_teachers_are_averaged_each_at_its_own_size():
    teachers = [make_teacher(1), make_teacher(2, size=48)]
    calls = []

    def make_inputs(model, spec):
        calls.append((model.image_size, spec))
        size = model.image_size
        rows = np.random.default_rng(size).normal(size=(3, size, size, 3))
        return rows.astype(np.float32)

    probabilities = Distillation(teachers, 0.5, 2.0).predict(make_inputs)
    assert calls == [(32, GREY), (48, GREY)]
    each = [np.asarray(Distillation([one], 0.5, 2.0).predict(make_inputs)) for one in teachers]
    np.testing.assert_allclose(probabilities, np.mean(each, axis=0), rtol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-2


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small_network.replace_mobilenet(patch)
        yield networks.write(tmp_path_factory.mktemp("teacher"), "mobilenet")


def test_without_a_teacher_there_is_no_distillation():
    assert make_distillation(tiny_config(), ()) is None
    assert make_distillation(tiny_config(teacher="+"), ()) is None


def test_a_teacher_is_read_from_a_file_or_its_folder(file):
    config = tiny_config(teacher=f"{file}+{file.parent}", teacher_share=0.25)
    distillation = make_distillation(config, ("happy", "neutral", "sad", "surprise"))
    assert distillation is not None
    assert [one.source for one in distillation.teachers] == [str(file), str(file.parent)]
    assert len({one.sha256 for one in distillation.teachers}) == 1
    assert (distillation.share, distillation.temperature) == (0.25, 1)


def test_a_teacher_of_other_classes_is_refused(file):
    with pytest.raises(UserError, match="classes sad, happy, in this order; found happy, neutral"):
        make_distillation(tiny_config(teacher=str(file)), ("sad", "happy"))


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("teacher=lost.npz", "teacher='lost.npz' .takes trained networks that exist"),
        ("teacher_share=0", "teacher_share=0.0 .takes a number above 0 and at most 1"),
        ("teacher_temperature=0", "teacher_temperature=0.0 .takes a number above 0"),
    ],
)
def test_a_wrong_field_is_named(arg, message):
    with pytest.raises(UserError, match=message):
        make_config("mobilenet", f"7,{arg}")


def test_features_are_not_cached_if_a_teacher_needs_images():
    model = type("Model", (), {"trained": {"head"}})()
    config = make_config("mobilenet", "0")
    assert feature_cache._is_worth_caching(config, model, 10)
    config.teacher = "model.npz"
    assert not feature_cache._is_worth_caching(config, model, 10)


def test_a_teachers_training_images_count_as_inherited():
    splits = make_splits()
    weights = {"source": "none", "sha256": None}
    first = make_recipe(tiny_config(), GREY, weights, splits)
    record = {"source": "there.npz", "sha256": "0", "trained": first}
    student = make_recipe(tiny_config(), GREY, weights, splits, [record])
    assert check_inherited_images(student) is None
    others = make_splits()
    pixels(others["train"])[0, 0, 0] ^= 1
    assert "this run learns from there.npz" in str(
        check_inherited_images(make_recipe(tiny_config(), GREY, weights, others, [record]))
    )
    # So do those of its own teacher.
    deep = {"source": "deep.npz", "sha256": "1", "trained": student | {"data": {"train": "other"}}}
    between = deep | {"trained": deep["trained"] | {"data": first["data"], "teachers": [deep]}}
    assert check_inherited_images(make_recipe(tiny_config(), GREY, weights, splits, [between]))


@pytest.mark.slow
@pytest.mark.usefixtures("plain_figures")
def test_a_run_names_its_teacher_and_refuses_another(file, tmp_path):
    """The run is trained and evaluated, and its card names the teacher."""
    drawn_zip.write(tmp_path / "data", 3, {"train": 32, "validation": 16, "test": 8})
    config = make_config(
        "mobilenet",
        f"0,image_size=32,weights=none,epochs=1,teacher={file},data_dir={tmp_path / 'data'}",
    )
    summary = run.train(config, tmp_path / "r")
    assert [one["source"] for one in summary["teachers"]] == [str(file)]
    text = (tmp_path / "r" / card.NAME).read_text()
    # as a teacher, in a warning, in a field
    assert text.count(f"{file.parent.name}/{file.name}") == 3
    assert str(file.parent.parent) not in text
    run.evaluate(config, tmp_path / "r", "validation")
    config.teacher, config.epochs = str(networks.write(tmp_path, "mobilenet", seed=1)), 2
    with pytest.raises(UserError, match="teacher"):
        run.train(config, tmp_path / "r")

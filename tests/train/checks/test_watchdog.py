"""Every watchdog reports runs that really have its fault, and no others."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.config import AUGMENTATIONS, CLASSES
from faceemo.data.pipeline import Split, epoch_order
from faceemo.errors import UserError
from faceemo.experiments import evaluation, run
from faceemo.models.preprocessing import BGR_MEAN, HED, IDENTITY, PLUS_MINUS_ONE
from faceemo.train import steps
from faceemo.train.checks import collapse, watchdog
from faceemo.train.state import TrainState
from tests.support.train.tiny import (
    GREY,
    make_model,
    make_split,
    make_splits,
    make_start,
    pixels,
    tiny_config,
)
from tests.train import test_loop

pytestmark = pytest.mark.slow


def fit(workdir, **options):
    """Trains the tiny model without augmentation, whose program takes longer to compile."""
    return test_loop.fit(workdir, **{"augmentation": "none"} | options)


def altered(model, change):
    """A model whose training logits go through `change(logits, params, inputs)`."""
    sane = model.apply

    def apply(params, stats, x, **options):
        logits, stats = sane(params, stats, x, **options)
        return (change(logits, params, x) if options.get("train") else logits), stats

    model.apply = apply
    return model


def test_a_non_finite_loss_is_reported_with_its_epoch_and_step(tmp_path):
    """One white image breaks the loss; its place in the epoch's order gives the step."""
    splits = make_splits()
    pixels(splits["train"])[41] = 255
    place = int(np.flatnonzero(epoch_order(70, tiny_config().seed, 0) == 41)[0]) // 16 + 1

    def poisoned(logits, params, inputs):
        del params
        white = inputs.min(axis=(1, 2, 3)) > 0.99
        return jnp.where(white[:, None], jnp.inf, logits)

    with pytest.raises(UserError, match=rf"the loss nan in epoch 1, step {place};.*learning_rate"):
        fit(
            tmp_path / "run",
            model=altered(make_model(), poisoned),
            splits=splits,
            checkpoint_every_steps=1,
        )
    saved = [int(path.name) for path in (tmp_path / "run" / "latest").glob("[0-9]*")]
    assert max(saved, default=0) == place - 1, "nothing broken is saved"


def test_non_finite_gradients_are_distinguished_from_a_non_finite_loss(tmp_path):
    """The square root of zero is finite, and its derivative is not."""

    def rooted(logits, params, inputs):
        del inputs
        return logits + jnp.sqrt(0 * params["head"]["predictions"]["bias"])[None]

    with pytest.raises(UserError, match=r"\d non-finite gradients .and the finite loss.*step 1;"):
        fit(tmp_path / "run", model=altered(make_model(), rooted))
    assert not (tmp_path / "run" / "latest").exists()


@pytest.mark.usefixtures("plain_figures")
def test_predicting_only_one_class_is_warned_of_in_log_and_report(tmp_path, monkeypatch, capsys):
    """The head has a bias for 'neutral' that its learning rate cannot undo."""
    model, config = make_model(), tiny_config(epochs=1, learning_rate=1e-6)
    variables = model.init(0)
    bias = variables["params"]["head"]["predictions"]["bias"]
    variables["params"]["head"]["predictions"]["bias"] = bias.at[1].set(50.0)
    splits = make_splits()
    monkeypatch.setattr(run.models, "build", lambda *_: model)
    monkeypatch.setattr(
        run.models, "load_weights", lambda *_: (variables, GREY, {"source": "none"})
    )
    monkeypatch.setattr(run.load_images, "load", lambda config: splits)
    monkeypatch.setattr(evaluation.ledger, "read", lambda root: [])
    # The model has no convolution, so the report's heatmap is that of the image itself.
    model.last_map = lambda params, statistics, inputs: inputs
    model.logits_from_map = lambda params, inputs: model.apply(params, {}, inputs)[0]
    run.train(config, tmp_path / "run")
    share = f"{(splits['validation'].labels == 1).mean():.3f}"
    message = json.loads((tmp_path / "run" / "summary.json").read_text())["warnings"]["epoch 1"]
    assert "100% of the predictions are 'neutral'" in message
    assert f"that class's share, {share}" in message
    assert "learning_rate" in message
    assert "validation has collapsed" in capsys.readouterr().err
    page = (tmp_path / "run" / "report" / "validation" / "index.html").read_text()
    assert "validation has collapsed" in page


def test_a_run_that_learns_gets_no_warning(tmp_path, capsys):
    history, _ = fit(tmp_path / "run", epochs=3, patience=0)
    assert not any("warning" in row for row in history)
    assert "warning" not in capsys.readouterr().err


def test_the_cause_of_a_collapse_depends_on_training_accuracy():
    labels = np.arange(40) % 4
    logits = np.eye(4)[np.zeros(40, int)]

    def warn(train_accuracy, moving, **evidence):
        warning = collapse.detect_collapse(
            logits, labels, CLASSES, train_accuracy=train_accuracy, moving=moving, **evidence
        )
        assert warning is not None
        return warning

    assert "bn_policy=recalibrate" in warn(0.8, True)
    assert "validation images differ" in warn(0.8, False)
    assert "learning_rate" in warn(0.26, True)
    assert "too large. Fix: a lower learning_rate" in warn(0.26, True, train_loss=2.5)
    assert "1.386, is that of guessing, so the steps are too small" in warn(
        0.26, True, train_loss=1.3863
    )
    assert "only begun. Fix: more epochs" in warn(0.26, True, train_loss=1.2)
    dead = warn(0.26, True, train_loss=1.3863, constant_features=0.9999)
    assert "99.99% of the features" in dead
    assert "learning_rate" not in dead
    # A fifth of the predictions elsewhere is no collapse, however wrong they are.
    mixed = np.eye(4)[np.where(np.arange(40) % 5, 0, 1)]
    assert collapse.detect_collapse(mixed, labels, CLASSES, train_accuracy=0.3, moving=True) is None


@pytest.mark.parametrize(
    ("rare", "predicted", "collapsed"),
    [
        (20, 20, False),  # perfect
        (20, 3, False),  # misses most of the rare class: weak, but not constant
        (20, 0, True),
        (20, 1, True),
        (500, 20, True),  # is right in each of its few other predictions: accuracy 0.52 for 0.5
    ],
)
def test_predictions_as_uneven_as_the_labels_are_no_collapse(rare, predicted, collapsed):
    labels = (np.arange(1000) < rare).astype(int)
    logits = np.eye(2)[(np.arange(1000) < predicted).astype(int)]
    warning = collapse.detect_collapse(logits, labels, ("a", "b"), train_accuracy=1.0, moving=False)
    assert bool(warning) == collapsed


@pytest.mark.parametrize(
    ("policy", "cause"), [("keras", "moving statistics lag.*recalibrate"), ("frozen", "overflow")]
)
def test_non_finite_logits_end_the_run_and_are_never_the_best(tmp_path, policy, cause):
    """Only validation has them: losses and gradients are finite."""
    model = make_model(statistics=True)
    sane = model.apply

    def apply(params, stats, x, **options):
        logits, stats = sane(params, stats, x, **options)
        return (logits if options.get("train") else logits.at[0, 0].set(jnp.nan)), stats

    fit(tmp_path / "run", model=make_model(statistics=True), epochs=1, bn_policy=policy)
    model.apply = apply
    found = r"non-finite logits for 4 of 30 images after epoch 2.*"
    with pytest.raises(UserError, match=f"{found}{cause}.*another --workdir"):
        fit(tmp_path / "run", model=model, epochs=2, bn_policy=policy)
    assert [path.name for path in (tmp_path / "run" / "best").iterdir()] == ["5"]


def make_faces(kind, seed):
    """Splits of various brightness and contrast: uint8 [100, 16, 16]."""
    split = make_split(100, seed)
    values = pixels(split).astype(np.float64)
    values = {
        "plain": values,
        "dull": 110 + values / 20,
        "dark": values / 4,
        "bright": 255 - values / 4,
        "half constant": np.where(np.arange(100)[:, None, None] % 2, values, 90),
    }[kind]
    return Split(values.astype(np.uint8), split.labels, split.paths)


def check_pixels(splits, level, preprocessing):
    start, state = make_start(make_model()), TrainState(0, {}, {}, (), jax.random.PRNGKey(0))
    start = dataclasses.replace(start, preprocessing=preprocessing)
    watchdog.refuse_unlike_pixels(splits, state, start, level)


@pytest.mark.parametrize("level", AUGMENTATIONS)
@pytest.mark.parametrize("kind", ["plain", "dull", "dark", "bright", "half constant"])
def test_no_level_trips_the_range_check(level, kind):
    check_pixels({"train": make_faces(kind, 0), "validation": make_faces(kind, 1)}, level, BGR_MEAN)


@pytest.mark.parametrize("spec", [HED, PLUS_MINUS_ONE, IDENTITY])
def test_no_preprocessing_trips_the_range_check(spec):
    check_pixels(
        {"train": make_faces("bright", 0), "validation": make_faces("bright", 1)}, "high", spec
    )


@pytest.mark.parametrize("level", ["none", "mid", "high"])
@pytest.mark.parametrize("kind", ["plain", "dark"])
@pytest.mark.parametrize("spec", [BGR_MEAN, PLUS_MINUS_ONE])
def test_the_originals_double_scaling_trips_the_range_check(level, kind, spec, monkeypatch):
    """Augmented images are divided by 255 before preprocessing scales them."""
    real = steps.augment
    monkeypatch.setattr(steps, "augment", lambda *arguments: real(*arguments) / 255)
    with pytest.raises(UserError, match="scaled or shifted twice"):
        check_pixels({"train": make_faces(kind, 0), "validation": make_faces(kind, 1)}, level, spec)


def test_a_mean_subtracted_twice_trips_the_range_check(monkeypatch):
    real = steps.augment
    monkeypatch.setattr(steps, "augment", lambda *arguments: real(*arguments) - 115)
    with pytest.raises(UserError, match="scaled or shifted twice"):
        check_pixels(
            {"train": make_faces("plain", 0), "validation": make_faces("plain", 1)}, "mid", BGR_MEAN
        )


def test_the_range_check_uses_the_inputs_of_the_step(tmp_path, monkeypatch):
    """A second scaling where both get their inputs is refused, and changes training otherwise."""
    history, _ = fit(tmp_path / "plain", epochs=1)
    real = steps.training_inputs

    def scaled(*arguments, **options):
        shown = real(*arguments, **options)
        return shown._replace(inputs=shown.inputs / 255)

    monkeypatch.setattr(steps, "training_inputs", scaled)
    with pytest.raises(UserError, match="scaled or shifted twice"):
        fit(tmp_path / "run", epochs=1)
    monkeypatch.setattr(watchdog, "refuse_unlike_pixels", lambda *_: None)
    other, _ = fit(tmp_path / "run", epochs=1)
    assert other[0]["train/loss"] != history[0]["train/loss"]


@pytest.mark.parametrize("spec", [BGR_MEAN, PLUS_MINUS_ONE])
@pytest.mark.parametrize("level", ["none", "high"])
def test_every_channel_of_images_in_colour_is_checked(level, spec, monkeypatch):
    """Faces with a strong tint pass; one channel, whichever it is, that is divided by 255 does not.

    The channel of green lies between the others in either order of the channels.
    """
    splits = {}
    for number, name in enumerate(("train", "validation")):
        grey = make_faces("bright", number)
        tinted = (grey.images[..., None] * np.array([1.0, 0.7, 0.4])).astype(np.uint8)
        splits[name] = dataclasses.replace(grey, images=tinted)
    check_pixels(splits, level, spec)
    real = steps.augment
    for channel in range(3):
        factor = np.ones((1, 1, 1, 3))
        factor[..., channel] = 1 / 255
        monkeypatch.setattr(steps, "augment", lambda *args, factor=factor: real(*args) * factor)
        with pytest.raises(UserError, match="scaled or shifted twice"):
            check_pixels(splits, level, spec)


@pytest.mark.parametrize("victim", ["train", "validation"])
def test_files_of_another_range_are_distinguished_from_code_that_scales(tmp_path, victim):
    """One split is stored as 0 and 1, in a whole run."""
    splits = make_splits()
    ruined = (pixels(splits[victim]) // 128).astype(np.uint8)
    splits[victim] = dataclasses.replace(splits[victim], images=ruined)
    with pytest.raises(UserError, match="prepared differently"):
        fit(tmp_path / "run", splits=splits)
    assert not (tmp_path / "run" / "latest").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(70, 4, np.int32)}, r"label 4 on train/sad/0.jpg \(70 such"),
        ({"labels": np.zeros(70, np.int32)}, "train/sad/0.jpg labelled 'happy'"),
        (
            {"labels": np.zeros(70, np.int32), "paths": ("0.jpg",) * 70},
            "no training image of neutral, sad, surprise",
        ),
    ],
)
def test_labels_that_contradict_the_class_list_end_the_run(tmp_path, change, message):
    splits = make_splits()
    paths = tuple(f"train/sad/{n}.jpg" for n in range(70))
    splits["train"] = dataclasses.replace(splits["train"], **{"paths": paths} | change)
    with pytest.raises(UserError, match=message):
        fit(tmp_path / "run", splits=splits)


def test_another_order_of_classes_is_refused():
    split = Split(
        np.zeros((2, 8, 8), np.uint8), np.array([0, 1]), ("train/a/1.jpg", "train/b/2.jpg")
    )
    watchdog.refuse_wrong_labels(split, ("a", "b"), 2, "train")
    with pytest.raises(UserError, match=r"train/a/1.jpg labelled 'b' \(2 such"):
        watchdog.refuse_wrong_labels(split, ("b", "a"), 2, "train")
    with pytest.raises(UserError, match="3 outputs"):
        watchdog.refuse_wrong_labels(split, ("a", "b"), 3, "train")

"""Whole runs with all options of a recipe: they resume exactly and keep the validated average."""

import signal

import numpy as np
import pytest

from faceemo.errors import UserError
from faceemo.train import build_steps, interrupt, loop, parallel
from faceemo.train.metrics import Totals
from faceemo.train.predict_split import predict_split
from tests.support.train.processes import assert_identical, results
from tests.support.train.tiny import GREY, make_model, make_splits
from tests.train import test_feature_cache
from tests.train.test_loop import fit, stored

pytestmark = pytest.mark.slow

RECIPE = {
    "epochs": 4,
    "patience": 0,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "layer_decay": 0.8,
    "weight_decay": 0.05,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "erasing": 0.3,
    "ema": 0.9,
    "checkpoint_every_steps": 2,
}
# A run without options; to compile its step takes the least time without augmentation.
PLAIN = {"epochs": 2, "patience": 0, "augmentation": "none"}
# Its fields that do not change a step.
_LENGTHS = ("epochs", "patience", "checkpoint_every_steps")


def make_policy_model(policy):
    """A model for a BatchNorm policy; recalibration needs real BatchNorm in blocks that train."""
    if policy == "recalibrate":
        return test_feature_cache.make_model(trained=("low", "top", "head"))
    return make_model(noise=0.2, statistics=True)


@pytest.fixture(scope="module", params=["keras", "recalibrate"])
def straight(request, tmp_path_factory):
    """An uninterrupted run: its folder, history, checkpoints and options."""
    workdir = tmp_path_factory.mktemp("recipe") / "run"
    options = RECIPE | {"bn_policy": request.param}
    return workdir, *fit(workdir, make_policy_model(request.param), **options), options


def test_training_learns(straight):
    _, history, _, _ = straight
    assert history[-1]["validation/accuracy"] > 0.5


def test_resume_equals_straight_through(straight, tmp_path, monkeypatch):
    workdir, history, _, options = straight
    predict, calls = loop.predict_split, []

    def crash(*arguments, **rest):
        calls.append(1)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return predict(*arguments, **rest)

    monkeypatch.setattr(loop, "predict_split", crash)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", make_policy_model(options["bn_policy"]), **options)
    again, _ = fit(tmp_path / "run", make_policy_model(options["bn_policy"]), **options)
    assert len(calls) == 6
    assert results(again) == results(history)
    assert_identical(workdir, tmp_path / "run")


def signal_in_step(make):
    """Wraps `make` so that SIGTERM arrives in the first call of its step; a second call fails."""

    def made(*arguments):
        step, signals = make(*arguments), iter([signal.SIGTERM])

        def call(*operands):
            signal.raise_signal(next(signals))
            return step(*operands)

        return call

    return made


def test_a_run_stopped_between_steps_and_validation_resumes(straight, tmp_path, monkeypatch):
    """It stops during recalibration, then during validation: the epoch's steps are saved."""
    workdir, history, _, options = straight
    recalibrates = options["bn_policy"] == "recalibrate"
    for phase in ["build_moments_step"] * recalibrates + ["build_eval_step"]:
        with monkeypatch.context() as patch:
            patch.setattr(build_steps, phase, signal_in_step(getattr(build_steps, phase)))
            with pytest.raises(interrupt.Stopped):
                fit(tmp_path / "run", make_policy_model(options["bn_policy"]), **options)
        assert max(int(path.name) for path in (tmp_path / "run" / "latest").glob("[0-9]*")) == 5
        assert not (tmp_path / "run" / "best").exists(), "the epoch has not been validated"
    again, _ = fit(tmp_path / "run", make_policy_model(options["bn_policy"]), **options)
    assert results(again) == results(history)
    assert_identical(workdir, tmp_path / "run")


def test_the_best_checkpoint_holds_the_average_that_was_validated(straight):
    _, history, checkpoints, options = straight
    variables, _ = checkpoints.restore_best()
    copies = parallel.replicate(variables)
    validation = make_splits()["validation"]
    logits = predict_split(
        build_steps.build_eval_step(make_policy_model(options["bn_policy"]), GREY),
        copies["params"],
        copies["batch_stats"],
        validation,
        16,
        name="check",
    )
    row = history[loop.best_epoch(history) - 1]
    values = Totals.from_logits(logits, validation.labels).compute()
    assert values["accuracy"] == pytest.approx(row["validation/accuracy"])
    assert values["loss"] == pytest.approx(row["validation/loss"], rel=1e-5)


def test_best_holds_the_average_and_latest_also_the_parameters(tmp_path):
    """The first epoch is the best so far, whatever its accuracy."""
    fit(tmp_path / "run", **RECIPE | {"epochs": 1})
    best, latest = (stored(tmp_path / "run" / folder) for folder in ("best", "latest"))
    kernel = "['params']['head']['predictions']['kernel']"
    average, parameter = latest[f"['training']['average']{kernel}"], latest[f"['weights']{kernel}"]
    np.testing.assert_array_equal(best[f"['weights']{kernel}"], average)
    assert (average != parameter).any()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The history of two epochs without options."""
    return results(fit(tmp_path_factory.mktemp("plain") / "run", **PLAIN)[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("augmentation", "high"),
        ("class_weights", "balanced"),
        ("clip_norm", 0.1),  # the gradients are shorter than 1
        *((field, RECIPE[field]) for field in RECIPE if field not in (*_LENGTHS, "clip_norm")),
    ],
)
def test_every_field_reaches_the_step(tmp_path, plain, field, value):
    history, _ = fit(tmp_path / "run", **PLAIN | {field: value})
    assert [row["step"] for row in results(history)] == [row["step"] for row in plain]
    assert results(history) != plain


def test_a_run_whose_schedule_ends_is_not_prolonged(straight):
    workdir, _, _, options = straight
    with pytest.raises(UserError, match=r"schedule_epochs=4 .this run: 6"):
        fit(workdir, make_policy_model(options["bn_policy"]), **(options | {"epochs": 6}))

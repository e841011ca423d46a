"""Whole runs with every recipe on: resumed exactly, the average validated and kept."""

import pytest

from faceemo.errors import UserError
from faceemo.train import assembly, loop, parallel
from faceemo.train.metrics import totals_of
from faceemo.train.predict import predict_split
from tests.train import test_features
from tests.train.processes import assert_identical, results
from tests.train.test_loop import fit, stored
from tests.train.tiny import GREY, make_model, make_splits

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


def model(policy):
    """Recalibration knows the real BatchNorm's momentum; there, all blocks train."""
    if policy == "recalibrate":
        return test_features.make_model(trained=("low", "top", "head"))
    return make_model(noise=0.2, statistics=True)


@pytest.fixture(scope="module", params=["keras", "recalibrate"])
def straight(request, tmp_path_factory):
    """A run without a break: its folder, what it returned, its options."""
    workdir = tmp_path_factory.mktemp("recipe") / "run"
    options = RECIPE | {"bn_policy": request.param}
    return workdir, *fit(workdir, model(request.param), **options), options


def test_it_learns(straight):
    _, history, _, _ = straight
    assert history[-1]["validation/accuracy"] > 0.5


def test_resumed_is_straight_through_bit_for_bit(straight, tmp_path, monkeypatch):
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
            fit(tmp_path / "run", model(options["bn_policy"]), **options)
    again, _ = fit(tmp_path / "run", model(options["bn_policy"]), **options)
    assert len(calls) == 6
    assert results(again) == results(history)
    assert_identical(workdir, tmp_path / "run")


def test_the_best_checkpoint_holds_the_average_that_was_validated(straight):
    workdir, history, checkpoints, options = straight
    variables, _ = checkpoints.restore_best()
    copies = parallel.replicate(variables)
    validation = make_splits()["validation"]
    logits = predict_split(
        assembly.evaluation_step(model(options["bn_policy"]), GREY),
        copies["params"],
        copies["batch_stats"],
        validation,
        16,
        name="check",
    )
    row = history[loop.best_epoch(history) - 1]
    values = totals_of(logits, validation.labels).compute()
    assert values["accuracy"] == pytest.approx(row["validation/accuracy"])
    assert values["loss"] == pytest.approx(row["validation/loss"], rel=1e-5)
    if loop.best_epoch(history) == len(history):
        name = "['weights']['params']['head']['predictions']['kernel']"
        best, latest = (stored(workdir / folder)[name] for folder in ("best", "latest"))
        assert (best != latest).any()


def test_a_run_whose_schedule_ends_is_not_prolonged(straight):
    workdir, _, _, options = straight
    with pytest.raises(UserError, match=r"schedule_epochs=4 .this run: 6"):
        fit(workdir, model(options["bn_policy"]), **(options | {"epochs": 6}))

"""The training loop resumes, stops, keeps the best weights and refuses other runs' folders."""

import json
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from faceemo.errors import UserError
from faceemo.train import loop, parallel
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.checkpoint.stored_recipe import find_recipe
from faceemo.train.eval_step import make_eval_step
from faceemo.train.metrics import Totals
from faceemo.train.predict_split import predict_split
from tests.support.train.processes import assert_identical, results
from tests.support.train.tiny import GREY, make_model, make_splits, make_start, pixels, tiny_config


def fit(workdir, model=None, splits=None, draw_epoch=None, **changes):
    """Trains the tiny model in `workdir`; returns (history, checkpoints)."""
    model, config = model or make_model(noise=0.2), tiny_config(**changes)
    splits = splits or make_splits()
    workdir.mkdir(exist_ok=True)
    recipe = make_recipe(config, GREY, {"source": "none"}, splits)
    checkpoints = Checkpoints(workdir, recipe)
    start = make_start(model, config.seed)
    history = loop.fit(config, start, splits, checkpoints, workdir, draw_epoch=draw_epoch)
    return history, checkpoints


def newest(folder):
    return max(
        (path for path in folder.iterdir() if path.name.isdigit()), key=lambda p: int(p.name)
    )


def stored(folder):
    """Every array of the newest checkpoint in a folder, read by Orbax alone."""
    step = newest(folder)
    trees = {
        item: ocp.StandardCheckpointer().restore((step / item).absolute())
        for item in ("weights", "training")
        if (step / item).exists()
    }
    leaves, _ = jax.tree_util.tree_flatten_with_path(trees)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of four epochs without a break."""
    workdir = tmp_path_factory.mktemp("straight")
    return workdir, *fit(workdir, epochs=4, patience=0)


def test_training_learns(straight):
    _, history, _ = straight
    assert len(history) == 4
    assert history[-1]["validation/accuracy"] > 0.5
    assert history[-1]["train/loss"] < history[0]["train/loss"]


def test_resume_equals_straight_through(straight, tmp_path):
    workdir, history, _ = straight
    for epochs in (1, 3, 4):
        again, _ = fit(tmp_path / "run", epochs=epochs, patience=0)
    assert results(again) == results(history)
    assert_identical(workdir, tmp_path / "run")


def test_a_finished_run_trains_no_further(straight, tmp_path):
    workdir, history, _ = straight
    shutil.copytree(workdir, tmp_path / "copy")
    again, _ = fit(tmp_path / "copy", epochs=4, patience=0)
    assert again == history


def test_the_best_checkpoint_predicts_as_it_did_in_its_epoch(straight):
    """Restored weights give the validation accuracy and loss that training recorded."""
    _, history, checkpoints = straight
    variables, upto = checkpoints.restore_best()
    best = loop.best_epoch(history)
    assert results(upto) == results(history[:best])
    variables = parallel.replicate(variables)
    step = parallel.map_eval_step(make_eval_step(make_model(), GREY))
    validation = make_splits()["validation"]
    for size in (16, 7):
        logits = predict_split(
            step, variables["params"], variables["batch_stats"], validation, size, name="check"
        )
        values = Totals.from_logits(logits, validation.labels).compute()
        assert values["accuracy"] == pytest.approx(history[best - 1]["validation/accuracy"])
        assert values["loss"] == pytest.approx(history[best - 1]["validation/loss"], rel=1e-5)


def test_frozen_leaves_are_stored_once_and_unchanged(straight):
    workdir, _, _ = straight
    trained = stored(workdir / "latest")
    assert not any("low" in path for path in trained)
    frozen = ocp.StandardCheckpointer().restore((workdir / "frozen/0/weights").absolute())
    initial = make_model().init(tiny_config().seed)["params"]["backbone"]["low"]
    assert frozen["params"].keys() == {"backbone"}
    jax.tree.map(np.testing.assert_array_equal, frozen["params"]["backbone"], {"low": initial})


def test_patience_counts_epochs_since_the_best(tmp_path, monkeypatch, capsys):
    """Accuracies 0.2 0.5 0.5 0.4: with patience 2 the fourth epoch is the last, the second best."""
    script = iter([0.2, 0.5, 0.5, 0.4, 0.9])
    real = Totals.from_logits

    def scripted(logits, labels):
        totals = real(logits, labels)
        accuracy = totals.accuracy.replace(total=next(script) * totals.accuracy.count)
        return totals.replace(accuracy=accuracy)

    monkeypatch.setattr(Totals, "from_logits", scripted)
    plain = {"patience": 2, "augmentation": "none"}
    history, checkpoints = fit(tmp_path / "run", epochs=9, **plain)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert loop.best_epoch(history) == 2
    assert len(checkpoints.restore_best()[1]) == 2
    assert len(checkpoints.history()) == 4
    said = "accuracy has not improved since epoch 2 (patience=2). Validation loss"
    assert f"stops early, after epoch 4 of 9: validation {said}" in capsys.readouterr().out
    fit(tmp_path / "run", epochs=12, **plain)
    printed = capsys.readouterr().out
    assert "finished    after epoch 4 of 12, so nothing is left to train" in printed
    assert "stops early, after" not in printed
    fit(tmp_path / "run", epochs=4, **plain)
    assert "stops early" not in capsys.readouterr().out
    history, _ = fit(tmp_path / "run", epochs=5, **plain, patience_metric="loss")
    assert len(history) == 5, "the loss still fell"
    assert history[-1]["validation/accuracy"] == pytest.approx(0.9)


def test_a_crash_in_an_epoch_loses_no_finished_one(straight, tmp_path, monkeypatch):
    _, history, _ = straight
    predict, calls = loop.predict_split, []

    def crash(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    monkeypatch.setattr(loop, "predict_split", crash)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", epochs=4, patience=0)
    again, _ = fit(tmp_path / "run", epochs=4, patience=0)
    assert len(calls) == 5, "two epochs, the crash, and the two that were missing"
    assert results(again) == results(history)


def test_a_non_finite_loss_stops_the_run_and_keeps_its_checkpoints(tmp_path):
    fit(tmp_path / "run", epochs=1, augmentation="none")
    model = make_model(noise=0.2)
    sane = model.apply
    model.apply = lambda *a, **k: (sane(*a, **k)[0] * np.nan, {})
    with pytest.raises(UserError, match="learning_rate"):
        fit(tmp_path / "run", model=model, epochs=2, augmentation="none")
    assert len(fit(tmp_path / "run", epochs=1, augmentation="none")[0]) == 1


def test_the_workdir_of_another_run_is_refused_with_the_difference(straight, tmp_path):
    workdir, _, _ = straight
    shutil.copytree(workdir, tmp_path / "copy")
    with pytest.raises(UserError, match=r"learning_rate=0\.03 .*0\.5"):
        fit(tmp_path / "copy", learning_rate=0.5)
    other = make_splits()
    pixels(other["train"])[0, 0, 0] ^= 1
    with pytest.raises(UserError, match=r"the images of data as they were before"):
        fit(tmp_path / "copy", splits=other)


def test_every_checkpoint_holds_the_recipe(straight):
    workdir, _, _ = straight
    recipe = find_recipe(workdir)
    assert recipe["preprocessing"] == json.loads(json.dumps(GREY.to_dict()))
    assert recipe["classes"] == ["happy", "neutral", "sad", "surprise"]
    for name in ("latest", "best", "frozen"):
        step = newest(workdir / name)
        args = ocp.args.Composite(recipe=ocp.args.JsonRestore())
        manager = ocp.CheckpointManager((workdir / name).absolute())
        assert manager.restore(int(step.name), args=args).recipe == recipe


def test_evaluating_before_training_is_refused_with_the_fix(tmp_path):
    checkpoints = Checkpoints(tmp_path, {"config": tiny_config().to_dict()})
    with pytest.raises(UserError, match="train first with the same configuration"):
        checkpoints.restore_best()


def test_a_run_older_than_a_field_has_its_default(straight, tmp_path):
    workdir, history, _ = straight
    shutil.copytree(workdir, tmp_path / "copy")
    metadata = tmp_path / "copy" / "frozen" / "0" / "recipe" / "metadata"
    recipe = json.loads(metadata.read_text())
    assert recipe["config"].pop("bn_policy") == "keras"
    metadata.write_text(json.dumps(recipe))
    assert fit(tmp_path / "copy", epochs=4, patience=0)[0] == history
    with pytest.raises(UserError, match=r"bn_policy='keras' .this run: 'frozen'"):
        fit(tmp_path / "copy", bn_policy="frozen")

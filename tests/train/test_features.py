"""Cached features: the same training as without, to the bit; never stale, never half a file."""

import json

import flax.linen as nn
import jax
import numpy as np
import pytest

from faceemo.models import Block, Model
from faceemo.models.batch_norm import BatchNorm
from faceemo.models.head import Head
from faceemo.models.layers import Conv
from faceemo.train import features, loop
from faceemo.train.checkpoint import Checkpoints
from faceemo.train.recipe import make_recipe
from tests.train.processes import assert_identical, results
from tests.train.tiny import GREY, SIZE, make_splits, tiny_config

OPTIONS = {"augmentation": "none", "unfreeze": "0", "epochs": 3, "patience": 0}


class Trunk(nn.Module):
    dtype: np.dtype = np.dtype("float32")

    @nn.compact
    def __call__(self, inputs, mode):
        hidden = Conv(6, (3, 3), strides=(4, 4), dtype=self.dtype, name="low_conv")(inputs)
        hidden = BatchNorm(1e-3, "low", self.dtype, name="low_bn")(hidden, mode)
        return nn.relu(Conv(7, (3, 3), strides=(2, 2), dtype=self.dtype, name="top_conv")(hidden))


def make_model(pooling="average", trained=("head",), dtype="float32"):
    return Model(
        arch="tiny",
        image_size=SIZE,
        num_classes=4,
        blocks=(
            Block("low", "backbone/low_.*"),
            Block("top", "backbone/top_.*"),
            Block("head", "head/.*"),
        ),
        trained=frozenset(trained),
        preprocessing=GREY,
        backbone=Trunk(np.dtype(dtype)),
        head=Head(4, pooling, (("fc1", 9),), 0.3, np.dtype(dtype)),
    )


def fit(workdir, model=None, splits=None, seed=None, **changes):
    model, splits = model or make_model(), splits or make_splits()
    config = tiny_config(data_dir=str(workdir.parent / "data"), **(OPTIONS | changes))
    workdir.mkdir(exist_ok=True)
    checkpoints = Checkpoints(workdir, make_recipe(config, GREY, {"source": "none"}, splits))
    variables = model.init(config.seed if seed is None else seed)
    return loop.fit(config, model, variables, GREY, splits, checkpoints, workdir)


def files(tmp_path):
    return sorted((tmp_path / "data" / "features").glob("*.npy"))


@pytest.mark.parametrize("changes", [{}, {"class_weights": "balanced", "ema": 0.9}])
@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_history_and_parameters_are_those_of_training_without(tmp_path, capsys, pooling, changes):
    model = make_model(pooling)
    plain = fit(tmp_path / "plain", model, cache_features="off", **changes)
    assert not files(tmp_path)
    cached = fit(tmp_path / "cached", model, **changes)
    assert len(files(tmp_path)) == 2
    assert "computed once" in capsys.readouterr().out
    again = fit(tmp_path / "again", model, **changes)
    assert "features of 70 images: from" in capsys.readouterr().out
    assert results(plain) == results(cached) == results(again)
    assert_identical(tmp_path / "plain", tmp_path / "cached")


def test_features_are_the_size_that_the_head_takes(tmp_path):
    fit(tmp_path / "one", make_model("average"))
    assert {np.load(path).shape for path in files(tmp_path)} == {(70, 1, 1, 7), (30, 1, 1, 7)}
    fit(tmp_path / "two", make_model("flatten"))
    assert (70, 4, 4, 7) in {np.load(path).shape for path in files(tmp_path)}


def test_the_head_learns_from_features(tmp_path):
    history = fit(tmp_path / "run", make_model("flatten"), epochs=6)
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert history[-1]["validation/accuracy"] > 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": "low"},
        {"mixup": 0.2},
        {"cutmix": 1.0},
        {"erasing": 0.1},
        {"cache_features": "off"},
        {"epochs": 1},
        {"steps_per_epoch": 1},
    ],
)
def test_nothing_is_kept_where_images_differ_or_it_would_not_pay(tmp_path, changes):
    fit(tmp_path / "run", **changes)
    assert not files(tmp_path)


def test_nothing_is_kept_where_a_block_trains(tmp_path):
    fit(tmp_path / "run", make_model(trained=("top", "head")))
    assert not files(tmp_path)


@pytest.mark.parametrize("damage", ["byte", "short", "record", "no record"])
def test_a_damaged_file_is_computed_anew(tmp_path, capsys, damage):
    whole = fit(tmp_path / "one")
    path = max(files(tmp_path), key=lambda path: path.stat().st_size)
    content, record = path.read_bytes(), path.with_suffix(".json")
    if damage == "byte":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif damage == "short":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "record":
        record.write_text("{")
    else:
        record.unlink()
    capsys.readouterr()
    again = fit(tmp_path / "two")
    printed = capsys.readouterr().out
    assert ("are damaged" in printed) == (damage != "no record")
    assert "features of 70 images: computed once" in printed
    assert "features of 30 images: from" in printed
    assert results(again) == results(whole)
    assert path.read_bytes() == content


def test_other_images_weights_sizes_or_types_are_other_files(tmp_path):
    fit(tmp_path / "base")
    assert len(files(tmp_path)) == 2
    other = make_splits()
    other["train"].images[3, 2, 1] ^= 1
    fit(tmp_path / "images", splits=other)
    assert len(files(tmp_path)) == 3, "validation is the same"
    fit(tmp_path / "weights", seed=1)
    assert len(files(tmp_path)) == 5
    fit(tmp_path / "type", make_model(dtype="bfloat16"))
    assert len(files(tmp_path)) == 7
    settings = [json.loads(path.with_suffix(".json").read_text()) for path in files(tmp_path)]
    assert {row["dtype"] for row in settings} == {"float32", "bfloat16"}


def test_half_precision_survives_the_disk(tmp_path):
    model = make_model(dtype="bfloat16")
    runs = [fit(tmp_path / name, model) for name in ("one", "two")]
    off = fit(tmp_path / "off", model, cache_features="off")
    assert results(runs[0]) == results(runs[1]) == results(off)


def test_too_much_for_the_memory_is_said_and_not_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(features, "LIMIT", 100 * 7 * 4 - 1)
    fit(tmp_path / "run")
    assert not files(tmp_path)
    assert "the frozen trunk runs in every epoch" in capsys.readouterr().out
    monkeypatch.setattr(features, "LIMIT", 100 * 7 * 4)
    fit(tmp_path / "other")
    assert len(files(tmp_path)) == 2


def test_a_full_disk_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features.np, "save", full)
    history = fit(tmp_path / "run")
    assert len(history) == 3
    assert "not kept on disk" in capsys.readouterr().out
    assert not list((tmp_path / "data" / "features").glob("*"))


def test_a_run_goes_on_with_the_cache_that_it_began_without(tmp_path):
    """The field says nothing about what is trained: the workdir is not refused."""
    straight = fit(tmp_path / "straight")
    fit(tmp_path / "run", epochs=1, cache_features="off")
    assert results(fit(tmp_path / "run")) == results(straight)


def test_the_trunk_runs_once_per_image(tmp_path, monkeypatch):
    """Counted where it is called: no step of training or validation contains it."""
    calls = []
    real = Model.features

    def counted(self, *arguments):
        calls.append(type(self.backbone).__name__)
        return real(self, *arguments)

    monkeypatch.setattr(Model, "features", counted)
    model = make_model()
    stage = features.stage(
        tiny_config(data_dir=str(tmp_path / "data"), **OPTIONS),
        model,
        model.init(0),
        GREY,
        make_splits(),
    )
    assert set(calls) == {"Trunk"}
    calls.clear()
    jax.eval_shape(lambda: stage.model.apply(model.init(0)["params"], {}, np.zeros((2, 1, 1, 7))))
    assert calls == ["Given"]

"""Training with cached features is the same to the bit; no file is stale or half written."""

import dataclasses
import json
import shutil
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest

from faceemo import models
from faceemo.models import Block, Model
from faceemo.models.head import Head
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.layers import Conv
from faceemo.train import feature_cache, loop
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.provenance import make_recipe
from tests.support.train.processes import assert_identical, results, stored
from tests.support.train.tiny import GREY, SIZE, make_splits, make_start, pixels, tiny_config

pytestmark = pytest.mark.slow

OPTIONS = {"augmentation": "none", "unfreeze": "0", "epochs": 3, "patience": 0}


class TinyBackbone(nn.Module):
    dtype: np.dtype = np.dtype("float32")

    @nn.compact
    def __call__(self, inputs, mode):
        hidden = Conv(6, (3, 3), strides=(4, 4), dtype=self.dtype, name="low_conv")(inputs)
        hidden = BatchNorm(1e-3, "low", self.dtype, name="low_bn")(hidden, mode)
        return nn.relu(Conv(7, (3, 3), strides=(2, 2), dtype=self.dtype, name="top_conv")(hidden))


def make_model(pooling="average", trained=("head",), dtype="float32", classes=4):
    return Model(
        arch="tiny",
        image_size=SIZE,
        num_classes=classes,
        blocks=(
            Block("low", "backbone/low_.*"),
            Block("top", "backbone/top_.*"),
            Block("head", "head/.*"),
        ),
        trained=frozenset(trained),
        preprocessing=GREY,
        backbone=TinyBackbone(np.dtype(dtype)),
        head=Head(classes, pooling, (("fc1", 9),), 0.3, np.dtype(dtype)),
    )


def fit(workdir, model=None, splits=None, seed=None, variables=None, **changes):
    model, splits = model or make_model(), splits or make_splits()
    config = tiny_config(data_dir=str(workdir.parent / "data"), **(OPTIONS | changes))
    workdir.mkdir(exist_ok=True)
    checkpoints = Checkpoints(workdir, make_recipe(config, GREY, {"source": "none"}, splits))
    start = make_start(model, config.seed if seed is None else seed, variables)
    return loop.fit(config, start, splits, checkpoints, workdir)


def cache(tmp_path, model=None, splits=None, seed=None, **changes):
    """Caches the features of a run, as `loop.fit` does, without training; returns its setup."""
    config = tiny_config(data_dir=str(tmp_path / "data"), **(OPTIONS | changes))
    start = make_start(model or make_model(), config.seed if seed is None else seed)
    return feature_cache.cache_features(config, start, splits or make_splits())


def assert_equal_to_rounding(one, two):
    """Asserts that two histories differ by rounding alone.

    Features that are computed beside the head may be summed in another order than features that
    are stored: on processors with AVX-512 both were equal to the bit, on others they were not.
    """
    assert len(one) == len(two)
    for row, other in zip(results(one), results(two), strict=True):
        assert row.keys() == other.keys()
        for key, value in row.items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-6)
            assert other[key] == same, key


def files(tmp_path):
    return sorted((tmp_path / "data" / "features").glob("*.npy"))


@pytest.mark.parametrize("changes", [{}, {"class_weights": "balanced", "ema": 0.9}])
@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_history_and_parameters_are_the_same_without_cache(tmp_path, capsys, pooling, changes):
    model = make_model(pooling)
    plain = fit(tmp_path / "plain", model, cache_features="off", **changes)
    assert not files(tmp_path)
    cached = fit(tmp_path / "cached", model, **changes)
    assert len(files(tmp_path)) == 2
    assert "computed once" in capsys.readouterr().out
    again = fit(tmp_path / "again", model, **changes)
    assert "features of 70 images: read from" in capsys.readouterr().out
    assert_equal_to_rounding(plain, cached)
    assert results(cached) == results(again)
    assert_identical(tmp_path / "cached", tmp_path / "again")
    left, right = (stored(tmp_path / run / "best") for run in ("plain", "cached"))
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("classes", [("calm", "tense"), tuple("abcdefg")])
def test_other_classes_are_weighted_and_named_as_without_cache(tmp_path, classes):
    """The head's bias predicts only the last class, and the watchdog has to name it."""
    splits = {
        name: dataclasses.replace(
            split, labels=np.arange(len(split), dtype=np.int32) % len(classes), classes=classes
        )
        for name, split in make_splits().items()
    }
    model = make_model(classes=len(classes))
    variables = model.init(0)
    head = variables["params"]["head"]["predictions"]
    head["bias"] = head["bias"].at[-1].set(50.0)
    options = {"class_weights": "balanced", "learning_rate": 1e-6, "epochs": 2}
    runs = [
        fit(tmp_path / cache, model, splits, variables=variables, cache_features=cache, **options)
        for cache in ("off", "auto")
    ]
    assert len(files(tmp_path)) == 2
    assert_equal_to_rounding(*runs)
    assert f"100% of the predictions are '{classes[-1]}'" in runs[1][0]["warning"]


def test_features_have_the_size_of_the_heads_inputs(tmp_path):
    cache(tmp_path, make_model("average"))
    assert {np.load(path).shape for path in files(tmp_path)} == {(70, 1, 1, 7), (30, 1, 1, 7)}
    cache(tmp_path, make_model("flatten"))
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
def test_nothing_is_cached_if_images_differ_or_it_would_not_pay(tmp_path, changes):
    splits = make_splits()
    setup = cache(tmp_path, splits=splits, **changes)
    assert setup.splits["train"] is splits["train"]
    assert not files(tmp_path)


def test_nothing_is_cached_if_a_block_trains(tmp_path):
    fit(tmp_path / "run", make_model(trained=("top", "head")))
    assert not files(tmp_path)


@pytest.mark.parametrize("damage", ["byte", "short", "record", "no record"])
def test_a_damaged_file_is_computed_again(tmp_path, capsys, damage):
    whole = cache(tmp_path)
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
    again = cache(tmp_path)
    printed = capsys.readouterr().out
    assert ("are damaged" in printed) == (damage != "no record")
    assert "features of 70 images: computed once" in printed
    assert "features of 30 images: read from" in printed
    for name, split in whole.splits.items():
        if name != "test":
            np.testing.assert_array_equal(again.splits[name].images, split.images)
    assert path.read_bytes() == content


def test_other_images_weights_or_types_are_other_files(tmp_path):
    cache(tmp_path)
    assert len(files(tmp_path)) == 2
    other = make_splits()
    pixels(other["train"])[3, 2, 1] ^= 1
    cache(tmp_path, splits=other)
    assert len(files(tmp_path)) == 3, "validation is the same"
    cache(tmp_path, seed=1)
    assert len(files(tmp_path)) == 5
    cache(tmp_path, make_model(dtype="bfloat16"))
    assert len(files(tmp_path)) == 7
    settings = [json.loads(path.with_suffix(".json").read_text()) for path in files(tmp_path)]
    assert {row["dtype"] for row in settings} == {"float32", "bfloat16"}


def test_another_batch_size_or_line_of_code_is_another_file(tmp_path, monkeypatch):
    """The sums of a matrix product may depend on its number of rows and on the device."""
    cache(tmp_path)
    cache(tmp_path, batch_size=18)
    assert len(files(tmp_path)) == 4
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "__file__", __file__)
        cache(tmp_path)
    assert len(files(tmp_path)) == 6
    settings = json.loads(files(tmp_path)[0].with_suffix(".json").read_text())
    assert settings["devices"] == jax.device_count()
    assert settings["versions"].keys() == {"jax", "jaxlib", "flax"}


@pytest.mark.parametrize("folder", ["", "layers", "weights"])
def test_a_changed_file_at_any_depth_of_models_is_another_file(tmp_path, monkeypatch, folder):
    copy = tmp_path / "models"
    shutil.copytree(Path(models.__file__).parent, copy)
    monkeypatch.setattr(models, "__file__", str(copy / "__init__.py"))
    cache(tmp_path)
    assert len(files(tmp_path)) == 2
    cache(tmp_path)
    assert len(files(tmp_path)) == 2
    with next(iter(sorted((copy / folder).glob("[a-z]*.py")))).open("a") as source:
        source.write("# another line\n")
    cache(tmp_path)
    assert len(files(tmp_path)) == 4


def test_half_precision_features_are_stored_exactly(tmp_path):
    model = make_model(dtype="bfloat16")
    runs = [fit(tmp_path / name, model) for name in ("one", "two")]
    off = fit(tmp_path / "off", model, cache_features="off")
    assert results(runs[0]) == results(runs[1]) == results(off)


def test_features_too_large_for_memory_are_reported_and_not_cached(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 100 * 7 * 4 - 1)
    cache(tmp_path)
    assert not files(tmp_path)
    assert "the frozen backbone runs in every epoch" in capsys.readouterr().out
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 100 * 7 * 4)
    cache(tmp_path)
    assert len(files(tmp_path)) == 2


def test_a_full_disk_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache.np, "save", full)
    history = fit(tmp_path / "run")
    assert len(history) == 3
    assert "not stored on disk" in capsys.readouterr().out
    assert not list((tmp_path / "data" / "features").glob("*"))


def test_a_run_resumes_with_a_cache_that_it_started_without(tmp_path):
    """The field does not change what is trained, so the workdir is not refused."""
    straight = fit(tmp_path / "straight")
    fit(tmp_path / "run", epochs=1, cache_features="off")
    assert_equal_to_rounding(fit(tmp_path / "run"), straight)


def test_a_finished_run_computes_no_features(tmp_path, capsys):
    whole = fit(tmp_path / "run")
    for path in files(tmp_path):
        path.unlink()
    capsys.readouterr()
    assert fit(tmp_path / "run") == whole
    assert "features" not in capsys.readouterr().out
    assert not files(tmp_path)


def test_the_backbone_runs_once_per_image(tmp_path, monkeypatch):
    """Its calls are counted: no step of training or validation contains it."""
    calls = []
    real = Model.features

    def counted(self, *arguments):
        calls.append(type(self.backbone).__name__)
        return real(self, *arguments)

    model = make_model()
    variables = model.init(0)
    monkeypatch.setattr(Model, "features", counted)
    config = tiny_config(data_dir=str(tmp_path / "data"), **OPTIONS)
    start = make_start(model, variables=variables)
    setup = feature_cache.cache_features(config, start, make_splits())
    assert set(calls) == {"TinyBackbone"}
    calls.clear()
    jax.eval_shape(setup.model.apply, variables["params"], {}, np.zeros((2, 1, 1, 7)))
    assert calls == ["IdentityBackbone"]


def test_features_of_images_in_colour_are_those_that_each_epoch_would_compute(tmp_path):
    splits = make_splits()
    for name, split in splits.items():
        tints = np.random.default_rng(len(split)).uniform(0.3, 1, (len(split), 1, 1, 3))
        images = (split.images[..., None] * tints).astype(np.uint8)
        splits[name] = dataclasses.replace(split, images=images)
    model = make_model()
    plain = fit(tmp_path / "plain", model, splits, cache_features="off")
    cached = fit(tmp_path / "cached", model, splits)
    assert len(files(tmp_path)) == 2, "they were cached"
    assert_equal_to_rounding(plain, cached)
    grey = {
        name: dataclasses.replace(split, images=split.images[..., 0])
        for name, split in splits.items()
    }
    assert results(fit(tmp_path / "grey", model, grey)) != results(cached)

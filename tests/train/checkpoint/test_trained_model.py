"""Tests that a stored network equals the run's best weights bit for bit, or is refused."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from faceemo import models
from faceemo.analysis import card
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import finals
from faceemo.models.preprocessing import IDENTITY
from faceemo.models.weights import npz
from faceemo.train import parallel
from faceemo.train.build_steps import build_eval_step
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.digest import named_leaves
from faceemo.train.checkpoint.temperature import CALIBRATION
from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.predict_split import predict_split
from tests.support import finished
from tests.support.models import keras_like
from tests.support.places import REPOSITORY
from tests.support.train.tiny import make_splits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, and its recipe."""
    workdir = tmp_path_factory.mktemp("stored") / "run"
    return workdir, finished.write(workdir)


@pytest.fixture(scope="module")
def path(run):
    """The file of that run's network."""
    return finals.store(run[0], run[0].parent / "models" / "run")


def predict_logits(model, preprocessing, variables):
    copies = parallel.replicate(variables)
    step = build_eval_step(model, preprocessing)
    split = make_splits()["test"]
    return predict_split(step, copies["params"], copies["batch_stats"], split, 8, name="test")


def test_it_predicts_as_the_best_checkpoint_bit_for_bit(run, path):
    workdir, recipe = run
    best, _ = Checkpoints(workdir, recipe).restore_best()
    found = TrainedModel.load(path)
    expected, leaves = named_leaves(best), named_leaves(found.variables)
    assert leaves.keys() == expected.keys()
    assert all(leaves[name].tobytes() == expected[name].tobytes() for name in expected)
    assert all(leaf.dtype == np.float32 for leaf in leaves.values())
    model = found.model
    logits = predict_logits(model, found.preprocessing, found.variables)
    assert np.ptp(logits) > 0
    np.testing.assert_array_equal(logits, predict_logits(model, model.preprocessing, best))


def test_it_holds_everything_that_prediction_needs(run, path):
    found = TrainedModel.load(path.parent)  # the folder is enough
    assert (found.arch, found.model.image_size) == ("efficientnetb0", 32)
    assert found.classes == ("happy", "neutral", "sad", "surprise")
    assert found.preprocessing == IDENTITY
    assert (found.temperature, found.best_epoch) == (1.375, 1)
    assert found.recipe == json.loads(json.dumps(run[1]))
    assert (path.parent / card.NAME).read_text() == "# the card\n"


def test_numpy_alone_reads_all_leaves_and_there_is_no_optimiser(path):
    """Without faceemo a user can read the weights and the recipe."""
    with path.open("rb") as stream, np.load(stream) as file:
        about = json.loads(str(file["about"]))
        size = sum(file[name].nbytes for name in file.files if name != "about")
        assert {name.split("/")[0] for name in file.files} == {"about", "params", "batch_stats"}
        assert file["params/head/predictions/kernel"].shape == (1280, 4)
    assert about["recipe"]["classes"][0] == "happy"
    assert size == 4 * (4_049_571 + 4 * 1281)  # Keras's count for the backbone, and the head
    assert size < path.stat().st_size < 1.05 * size


def test_training_starts_from_its_backbone(path):
    """All its leaves are taken, at another size and with other classes; the head is new."""
    trained = TrainedModel.load(path)
    config = make_config("efficientnetb0", f"best,weights={path},image_size=64,classes=sad+happy")
    model = models.build(config)
    fresh = keras_like.draw(model, 3)
    found, preprocessing, source = models.load_weights(model, fresh, config.weights)
    assert preprocessing == trained.preprocessing
    assert source["source"] == str(path)
    for tree in ("params", "batch_stats"):
        ours, theirs = (named_leaves(one[tree]["backbone"]) for one in (found, trained.variables))
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert found["params"]["head"] is fresh["params"]["head"]


def test_training_of_another_backbone_does_not_start_from_it(path):
    model = models.build(make_config("resnet50v2", f"0,weights={path},image_size=32"))
    with pytest.raises(UserError, match="found weights of efficientnetb0"):
        models.load_weights(model, model.shapes(), str(path))


def test_an_altered_byte_is_noticed_or_has_no_effect(path, tmp_path):
    """Only bytes such as the dates in the zip's tables have none."""
    content = path.read_bytes()
    whole = named_leaves(TrainedModel.load(path).variables)
    rng = np.random.default_rng(0)
    # anywhere, in the first arrays' headers, in the tables at the end, in 'about'
    about = content.index(b"about.npy")
    places = [
        *rng.integers(0, len(content), 12),
        *rng.integers(0, 400, 6),
        *rng.integers(len(content) - 4000, len(content), 6),
        *rng.integers(about, about + 2000, 6),
    ]
    copy, refused = tmp_path / "model.npz", []
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        copy.write_bytes(changed)
        try:
            found = named_leaves(TrainedModel.load(copy).variables)
        except UserError as error:
            refused.append(str(error))
        else:
            assert found.keys() == whole.keys()
            assert all(found[name].tobytes() == whole[name].tobytes() for name in whole)
    assert len(refused) > len(places) / 2
    assert all("which cannot be read" in text and "\n" not in text for text in refused)


def test_digests_notice_a_change_with_a_valid_zip_checksum(path, tmp_path):
    """Such as an array or a fact that another tool replaced, rewriting the zip."""
    about, arrays = npz.unpack(path)
    name = "params/head/predictions/bias"
    for key, value in (
        (name, np.nextafter(arrays[name], 9, dtype=np.float32)),
        (name, arrays[name].astype(np.float64)),
        ("batch_stats/backbone/new/mean", np.ones(3, np.float32)),
    ):
        npz.pack(tmp_path / "m.npz", about, arrays | {key: value})
        with pytest.raises(UserError, match=f"not as it was stored: {key}"):
            TrainedModel.load(tmp_path / "m.npz")
    npz.pack(tmp_path / "m.npz", about | {"temperature": 1.0}, arrays)
    with pytest.raises(UserError, match="not as it was stored: about"):
        TrainedModel.load(tmp_path / "m.npz")


@pytest.mark.parametrize("length", [0, 1, 1000, 0.5, -1, -30])
def test_a_file_that_is_cut_off_is_refused(path, tmp_path, length):
    content = path.read_bytes()
    length = int(len(content) * length) if isinstance(length, float) else length
    (tmp_path / "model.npz").write_bytes(content[:length])
    with pytest.raises(UserError, match=r"copy it again"):
        TrainedModel.load(tmp_path)


def test_a_file_that_is_no_stored_network_is_refused(path, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        TrainedModel.load(tmp_path / "lost.npz")
    other = tmp_path / "other.npz"
    for write in (
        lambda: other.write_text("<html>404</html>"),
        lambda: np.savez(other, a=np.ones(3)),
        lambda: np.savez(other, about=np.array("[1]")),
        lambda: npz.write(other, "vgg16", {"a/b": np.ones(3, np.float32)}, IDENTITY),
    ):
        write()
        with pytest.raises(UserError, match="which cannot be read"):
            TrainedModel.load(other)
    found = TrainedModel.load(path)
    head = found.variables["params"]["head"]
    for variables, message in (
        ({"params": {"head": head}, "batch_stats": {}}, "is missing"),
        ({"params": found.variables["params"], "batch_stats": {"x": np.ones(2)}}, "left over"),
    ):
        dataclasses.replace(found, variables=variables).save(other)
        with pytest.raises(UserError, match=message):
            TrainedModel.load(other)
    with pytest.raises(UserError, match=r"name it model\.npz"):
        found.save(tmp_path / "model.h5")


KILLED = """
import os, sys
from pathlib import Path
from faceemo.experiments import finals

finals.shutil.copyfile = lambda *_: os._exit(9)  # the weights are there, the card is not
finals.store(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_store_leaves_nothing_that_looks_finished(run, tmp_path):
    workdir, _ = run
    for folder in (tmp_path / "new", finals.store(workdir, tmp_path / "old").parent):
        before = sorted(path.name for path in folder.glob("*"))
        killed = [sys.executable, "-c", KILLED, str(workdir), str(folder)]
        assert subprocess.run(killed, cwd=REPOSITORY, timeout=300).returncode == 9
        assert sorted(path.name for path in folder.glob("*")) == before
    with pytest.raises(UserError, match="no such file"):
        TrainedModel.load(tmp_path / "new")
    TrainedModel.load(tmp_path / "old")
    finals.store(workdir, tmp_path / "new")
    TrainedModel.load(tmp_path / "new")
    assert not (tmp_path / ".new.partial").exists()


def test_unfinished_runs_and_foreign_folders_are_refused(run, tmp_path):
    workdir, _ = run
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        finals.store(workdir, tmp_path / "mine")
    with pytest.raises(UserError, match="a trained run"):
        finals.store(tmp_path / "mine", tmp_path / "out")
    fitted = (workdir / CALIBRATION).read_text()
    try:
        (workdir / CALIBRATION).write_text(fitted.replace('"best_epoch": 1', '"best_epoch": 2'))
        with pytest.raises(UserError, match=r"temperature of epoch 1"):
            finals.store(workdir, tmp_path / "out")
    finally:
        (workdir / CALIBRATION).write_text(fitted)
    assert not (tmp_path / "out").exists()


def test_loading_needs_neither_tensorflow_nor_orbax(path):
    code = (
        "import sys, pathlib; from faceemo.train.checkpoint.trained_model import TrainedModel; "
        "TrainedModel.load(pathlib.Path(sys.argv[1])); "
        "sys.exit(bool({'tensorflow', 'orbax.checkpoint', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, cwd=REPOSITORY, timeout=300).returncode == 0

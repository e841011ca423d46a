"""The engine onnx computes what JAX does, or JAX takes its place and the log says why."""

import concurrent.futures
import dataclasses
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import faceemo
from faceemo.commands import cli
from faceemo.config import ARCHS
from faceemo.errors import UserError
from faceemo.inference.engine import cache as entries
from faceemo.inference.engine import choose, names
from faceemo.inference.export import onnx_file, parity
from faceemo.inference.export.drawn import draw_faces
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support import finished
from tests.support.inference import networks
from tests.support.places import REPOSITORY

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ENTRY = entries.Entry({"classes": ["happy", "sad"]}, 1.5, 3, 1e-6, 1e-4)


@pytest.fixture(autouse=True)
def chosen_anew(cache, monkeypatch, caplog):
    """The choice as users have it, with a cache of its own, few faces, and nothing told yet."""
    monkeypatch.delenv(names.VARIABLE, raising=False)
    monkeypatch.setattr(choose, "_FACES", 8)
    choose._tell.cache_clear()
    caplog.set_level(logging.INFO, "faceemo")


@pytest.fixture
def made(monkeypatch):
    """The networks whose files were made and compared."""
    made, make = [], choose._make_entry
    monkeypatch.setattr(
        choose, "_make_entry", lambda path, *rest: (made.append(path), make(path, *rest))[1]
    )
    return made


@pytest.fixture
def faces(network_predictor):
    return draw_faces(8, network_predictor.network.image_format)


def without_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_every_network_has_the_probabilities_of_jax(arch, tmp_path):
    """At an odd size, where padding differs between libraries, in batches of any size."""
    # whose statistics suit no other size
    size = 32 if arch == "efficientnetb0" else 33
    path = networks.write(tmp_path, arch, image_size=size)
    predictor, other = (faceemo.load(path, engine=engine) for engine in ("onnx", "jax"))
    faces = draw_faces(8, predictor.network.image_format)
    expected = other.probabilities(faces)
    assert np.ptp(expected, axis=0).max() > 0.05
    for count in (8, 1, 3):
        found = predictor.probabilities(faces[:count])
        np.testing.assert_allclose(found, expected[:count], atol=1e-4)
        assert np.abs(found - expected[:count]).max() > 0, "they are from the same engine"
    some = faceemo.load(path, engine="onnx", classes=["sad", "happy"])
    both = expected[:, [predictor.classes.index(label) for label in some.classes]]
    rows = some.probabilities(faces)
    np.testing.assert_allclose(rows, both / both.sum(axis=1, keepdims=True), atol=1e-4)
    assert some.trained.classes == some.classes == ("sad", "happy")
    model = onnx.load(*entries.name_entry("", "").parent.glob("*/model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    # operators of ONNX alone, those in which onnxruntime joins activations with convolutions
    assert {one.domain for one in model.opset_import} | {n.domain for n in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"Max", "Min"}


@pytest.mark.slow
def test_auto_takes_onnxruntime_and_compares_once(network, made, faces, caplog):
    first, second = faceemo.load(network), faceemo.load(network)
    assert [one.engine.name for one in (first, second)] == ["onnx", "onnx"]
    assert made == [network]
    assert f"{network} is predicted with onnxruntime {onnxruntime.__version__}" in caplog.messages
    np.testing.assert_array_equal(first.probabilities(faces), second.probabilities(faces))
    copied = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copied.probabilities(faces), first.probabilities(faces))
    # explanations take the network's arrays
    assert second.trained.variables.keys() == {"params", "batch_stats"}


@pytest.mark.slow
def test_other_weights_get_another_file(network, made, faces, tmp_path):
    path = shutil.copy(network, tmp_path)
    before = faceemo.load(path)
    trained = TrainedModel.load(Path(path))
    last = trained.variables["params"]["head"]["predictions"]
    last["bias"] = last["bias"] + np.float32([1, 0, 0, 0])
    trained.save(Path(path))
    after, expected = faceemo.load(path), faceemo.load(path, engine="jax")
    assert len(made) == 2
    np.testing.assert_allclose(after.probabilities(faces), expected.probabilities(faces), atol=1e-4)
    assert np.abs(after.probabilities(faces) - before.probabilities(faces)).max() > 0.05
    with pytest.raises(UserError, match="as it was when it was loaded; found another one"):
        _ = before.trained


@pytest.mark.slow
def test_a_network_that_onnxruntime_computes_otherwise_stays_with_jax(
    network, made, faces, caplog, monkeypatch, capsys
):
    monkeypatch.setitem(parity.TOLERANCES, "float32", 1e-12)
    predictors = [faceemo.load(network) for _ in range(2)]
    assert [one.engine.name for one in predictors] == ["jax", "jax"]
    assert made == [network], "the comparison is repeated"
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "is predicted with JAX, not with onnxruntime" in warning.getMessage()
    assert "within 1e-12 of JAX's; found a difference of" in warning.getMessage()
    expected = faceemo.load(network, engine="jax").probabilities(faces)
    np.testing.assert_array_equal(predictors[0].probabilities(faces), expected)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", str(network), str(REPOSITORY), "--engine", "onnx"])
    error = capsys.readouterr().err
    assert "on 8 drawn faces. Fix: give --engine jax" in error
    assert len(error.strip().splitlines()) == 1


def test_without_onnxruntime_it_is_demanded_in_vain(network, monkeypatch, capsys, made):
    without_onnxruntime(monkeypatch)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", str(network), str(REPOSITORY), "--engine", "onnx"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected onnxruntime, for --engine onnx; found that it is not installed" in line
    assert "pip install '.[onnx]'" in line
    assert made == []


def test_without_onnxruntime_jax_takes_its_place(network, monkeypatch, caplog):
    without_onnxruntime(monkeypatch)
    assert faceemo.load(network).engine.name == "jax"
    assert [one.levelno for one in caplog.records] == [logging.INFO, logging.INFO]
    assert "not installed" in caplog.messages[0]


def test_an_accelerator_stays_with_jax(network, monkeypatch, made):
    monkeypatch.setattr(choose, "_has_accelerator", lambda: True)
    assert faceemo.load(network).engine.name == "jax"
    assert made == []


def test_a_cache_that_cannot_be_written_is_told(network, monkeypatch, caplog, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "file"))
    assert faceemo.load(network).engine.name == "jax"
    assert "found NotADirectoryError" in caplog.messages[0]


def test_a_network_that_changes_while_it_is_read_gets_no_file(network, monkeypatch, caplog):
    digests = iter(["before", "after", "after"])
    monkeypatch.setattr(entries, "digest_network", lambda path: next(digests))
    assert faceemo.load(network).engine.name == "jax"
    assert "the network changed while it was read" in caplog.messages[0]
    assert not [one for one in entries.name_entry("", "").parent.iterdir() if one.is_dir()]


def test_the_environment_names_the_engine(network, monkeypatch, made):
    monkeypatch.setenv(names.VARIABLE, "jax")
    assert faceemo.load(network).engine.name == "jax"
    monkeypatch.setenv(names.VARIABLE, "onxn")
    with pytest.raises(UserError, match=r"found 'onxn' \(did you mean 'onnx'\?\) in \$FACEEMO_ENG"):
        faceemo.load(network)
    with pytest.raises(UserError, match="an engine: auto, jax, onnx; found 'fast'"):
        faceemo.load(network, engine="fast")
    assert made == []


def test_what_is_no_network_is_refused_as_ever(tmp_path):
    with pytest.raises(UserError, match="a run's folder or a stored network"):
        faceemo.load(tmp_path / "none", engine="onnx")
    (tmp_path / "model.npz").write_bytes(b"damaged")
    with pytest.raises(UserError, match="an undamaged file of a trained network"):
        faceemo.load(tmp_path, engine="onnx")


@pytest.mark.slow
def test_the_next_process_needs_no_jax(network, faces, tmp_path):
    expected = faceemo.load(network, engine="onnx").probabilities(faces)
    np.save(tmp_path / "faces.npy", faces)
    program = f"""
import sys, faceemo, numpy
predictor = faceemo.load({str(network)!r}, classes=None)
rows = predictor.probabilities(numpy.load({str(tmp_path / "faces.npy")!r}))
numpy.save({str(tmp_path / "rows.npy")!r}, rows)
print(*{{"jax", "flax", "optax", "scipy"}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), expected)


@pytest.mark.slow
def test_a_run_is_predicted_too_and_warns_without_temperature(tmp_path, capsys, made):
    run = tmp_path / "run"
    finished.write(run, "mobilenet")
    predictor, other = (faceemo.load(run, engine=engine) for engine in ("onnx", "jax"))
    faces = draw_faces(4, predictor.network.image_format)
    np.testing.assert_allclose(
        predictor.probabilities(faces), other.probabilities(faces), atol=1e-4
    )
    assert predictor.network.temperature == 1.375
    assert capsys.readouterr().err == ""
    (run / "calibration.json").unlink()
    for _ in range(2):
        assert faceemo.load(run, engine="onnx").network.temperature == 1
        assert capsys.readouterr().err.count("has no temperature for its best weights") >= 1
    assert len(made) == 2


def test_the_digest_covers_all_weights_and_the_temperature(tmp_path):
    for name in ("best/3/weights/0", "frozen/0/weights/0", "calibration.json", "summary.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    digests = [entries.digest_network(tmp_path)]
    for name in ("best/3/weights/0", "frozen/0/weights/0", "calibration.json"):
        (tmp_path / name).write_text("other")
        digests.append(entries.digest_network(tmp_path))
    assert len(set(digests)) == 4
    (tmp_path / "summary.json").write_text("other")
    assert entries.digest_network(tmp_path) == digests[-1]
    assert entries.digest_network(tmp_path / "nothing") is None


def test_the_name_of_an_entry_depends_on_the_versions(monkeypatch):
    named = {entries.name_entry(*key) for key in (("a", "1"), ("a", "2"), ("b", "1"))}
    monkeypatch.setattr(faceemo, "__version__", "9")
    named.add(entries.name_entry("a", "1"))
    monkeypatch.setattr(entries, "_VERSION", 99)
    assert len(named | {entries.name_entry("a", "1")}) == 5


def test_an_entry_is_written_once_and_whole(tmp_path):
    """Two processes at once: the second waits, and reads what the first has written."""
    calls = []

    def make(file):
        calls.append(file)
        file.write_bytes(b"half of it")
        time.sleep(0.2)
        assert not (tmp_path / "onnx" / "key").exists()
        file.write_bytes(b"all of it")
        return ENTRY

    folder = tmp_path / "onnx" / "key"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: entries.read_or_write(folder, make), range(2)))
    assert len(calls) == 1
    assert found[0] == found[1] == entries.read(folder)
    assert (folder / "model.onnx").read_bytes() == b"all of it"


def test_half_an_entry_is_never_read(tmp_path):
    folder = tmp_path / "onnx" / "key"

    def make(file, content=b"all of it"):
        file.write_bytes(content)
        return ENTRY

    def fail(file):
        make(file, b"half of it")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entries.read_or_write(folder, fail)
    assert entries.read(folder) is None
    leftover = folder.with_name(".key.partial")  # of a process that was killed
    leftover.mkdir()
    (leftover / "model.onnx").write_bytes(b"half of it")
    whole = entries.read_or_write(folder, make)
    for damage in ("model.onnx", "network.json"):
        content = (folder / damage).read_bytes()
        (folder / damage).write_bytes(content[:-3])
        assert entries.read(folder) is None
        assert entries.read_or_write(folder, make) == whole
    record = json.loads((folder / "network.json").read_text())
    assert record == dataclasses.asdict(whole)


def test_entries_that_were_not_used_for_longest_are_removed(tmp_path, monkeypatch):
    root = tmp_path / "onnx"
    for age, name in ((30, "old"), (20, "used"), (10, "new")):
        entries.read_or_write(root / name, lambda file: (file.write_bytes(b"x" * 4000), ENTRY)[1])
        os.utime(root / name, (time.time() - age, time.time() - age))
    entries.read(root / "used")
    monkeypatch.setattr(entries, "_MAX_BYTES", 15_000)
    entries.read_or_write(root / "last", lambda file: (file.write_bytes(b"x" * 4000), ENTRY)[1])
    kept = {one.name for one in root.iterdir() if one.is_dir()}
    assert kept == {"last", "used", "new"}


def test_a_network_without_a_graph_says_which_file_to_write(tmp_path, monkeypatch, network):
    monkeypatch.setattr(onnx_file, "BACKBONES", {})
    with pytest.raises(UserError, match=r"LookupError: no graph in ONNX for the network 'mobilene"):
        faceemo.load(network, engine="onnx")

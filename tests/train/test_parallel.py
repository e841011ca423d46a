"""The number of devices and of processes does not change the result of training."""

import dataclasses
import hashlib
import json
import shutil
import signal
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from faceemo.config import ImageFormat
from faceemo.data import builder, shards
from faceemo.data.augment.mixing import training_batches
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.division import list_part
from faceemo.data.prepare import folders
from faceemo.experiments import load_images
from faceemo.train import parallel
from faceemo.train.batch_stats import estimate_batch_stats
from faceemo.train.checks import dead_features, watchdog
from faceemo.train.interrupt import EXIT_CODE
from faceemo.train.state import TrainState
from tests.support import forked
from tests.support.data.on_disk import store
from tests.support.train.processes import (
    assert_identical,
    finish,
    free_port,
    results,
    run,
    start,
    stored,
)
from tests.support.train.tiny import make_model, make_split, make_start, tiny_config

pytestmark = pytest.mark.slow

# 70 images in batches of 18: only 1 and 2 devices divide both 70 and 18.
RUN = {"epochs": 3, "patience": 0, "batch_size": 18}


def losses(history):
    return np.array([[row["train/loss"], row["validation/loss"]] for row in history])


def test_a_batch_that_does_not_divide_is_padded_as_batches_are():
    split = make_split(5, 0)
    (batch,) = training_batches(split, tiny_config(batch_size=5, mixup=0.2), 0)
    cut = jax.tree.map(lambda leaf: leaf.reshape(6, *leaf.shape[2:]), parallel.shard(batch))
    padding = jax.tree.map(lambda leaf: leaf[-1], cut)
    for part in (padding, padding.partner):
        assert (part.mask, part.labels, part.index, part.images.max()) == (0, 0, -1, 0)
    kept = jax.tree.map(lambda leaf: leaf[:-1], cut)
    jax.tree.map(np.testing.assert_array_equal, kept, batch)


@pytest.fixture
def lacking(tmp_path, monkeypatch):
    """Images on another host, and the same in memory, from which the first process takes them."""
    split = make_split(70, 0)
    images = store(split, tmp_path).images
    assert isinstance(images, StoredImages)
    for path, _ in images.files:
        Path(path).unlink()
    monkeypatch.setattr(parallel, "on_first", lambda take: lambda _, rows: take(split.images, rows))
    return dataclasses.replace(split, images=dataclasses.replace(images, divided=True)), split


def test_a_few_images_of_all_hosts_are_taken_by_the_first_process(lacking, monkeypatch):
    divided, whole = lacking
    rows = np.array([69, 0])
    np.testing.assert_array_equal(
        parallel.take_everywhere(divided.images, rows), whole.images[rows]
    )
    monkeypatch.delattr(parallel, "on_first")  # other images are taken without the other processes
    np.testing.assert_array_equal(parallel.take_everywhere(whole.images, rows), whole.images[rows])


def test_checks_before_training_need_no_files_of_other_hosts(lacking):
    divided, whole = lacking
    config, start = tiny_config(weights="hed"), make_start(make_model(statistics=True))
    estimate_batch_stats(config, start, divided)
    one, other = (dead_features.measure(config, start, split) for split in lacking)
    assert one == other
    state = TrainState.create(start.variables, optax.sgd(0.1), 0)
    splits = {"train": divided, "validation": whole}
    watchdog.refuse_unlike_pixels(splits, state, start, "mid")


def start_two(folder, changes, *, devices=1):
    """Starts a run in two processes, each with a folder of its own."""
    port = free_port()
    return [
        start(
            folder / f"process{process}",
            changes,
            devices=devices,
            options=("--process", process, "--port", port),
        )
        for process in (0, 1)
    ]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One device from start to end."""
    folder = tmp_path_factory.mktemp("single") / "run"
    return folder, run(folder, RUN)["history"]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_several_devices_train_like_one(single, tmp_path, devices):
    history = run(tmp_path / "run", RUN, devices=devices)["history"]
    np.testing.assert_allclose(losses(history), losses(single[1]), rtol=1e-5)


@pytest.mark.slow
def test_a_run_resumes_on_another_number_of_devices(single, tmp_path):
    """Its epochs are trained on 4, 1 and 2 devices."""
    for epochs, devices in ((1, 4), (2, 1), (3, 2)):
        history = run(tmp_path / "run", RUN | {"epochs": epochs}, devices=devices)["history"]
    np.testing.assert_allclose(losses(history), losses(single[1]), rtol=1e-5)
    ours, theirs = stored(tmp_path / "run" / "latest"), stored(single[0] / "latest")
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_two_processes_train_like_one_and_only_the_first_writes(single, tmp_path):
    """They start with one device each and resume with two, in folders of their own."""
    for epochs, devices in ((2, 1), (3, 2)):
        processes = start_two(tmp_path, RUN | {"epochs": epochs}, devices=devices)
        (code, output, errors), (other, second, more) = finish(*processes)
        assert (code, other) == (0, 0), errors + more
    assert "continues after epoch 2" in output
    history = json.loads(output.splitlines()[-1])["history"]
    np.testing.assert_allclose(losses(history), losses(single[1]), rtol=1e-5)
    assert results(json.loads(second.splitlines()[-1])["history"]) == results(history)
    assert not (tmp_path / "process1").exists()


@pytest.mark.slow
def test_each_of_two_processes_reads_its_own_part_from_disk(single, tmp_path):
    """Half of each batch of 18: of 70 training images 36 and 34, of 30 for validation 18 and 12."""
    port = free_port()
    processes = [
        start(
            tmp_path / f"process{process}",
            RUN,
            options=("--process", process, "--port", port, "--disk", tmp_path / f"images{process}"),
        )
        for process in (0, 1)
    ]
    ends = finish(*processes)
    assert [code for code, _, _ in ends] == [0, 0], ends[0][2] + ends[1][2]
    first, second = (json.loads(output.splitlines()[-1]) for _, output, _ in ends)
    np.testing.assert_allclose(losses(first["history"]), losses(single[1]), rtol=1e-5)
    assert results(second["history"]) == results(first["history"])
    assert first["read"] == RUN["epochs"] * (36 + 18)
    assert second["read"] == RUN["epochs"] * (34 + 12)


@pytest.mark.slow
def test_two_hosts_that_hold_a_part_each_train_like_one_that_holds_all(tmp_path):
    """The second lacks the files of the first one's part; all that draws partners and orders."""
    run_fields = RUN | {"data_parts": 2, "mixup": 0.3, "bn_policy": "recalibrate"}
    whole = run(tmp_path / "whole", run_fields, devices=2)["history"]
    port = free_port()
    processes = [
        start(
            tmp_path / f"process{process}",
            run_fields,
            options=(
                *("--process", process, "--port", port),
                *("--disk", tmp_path / f"images{process}", "--divided"),
            ),
        )
        for process in (0, 1)
    ]
    ends = finish(*processes)
    assert [code for code, _, _ in ends] == [0, 0], ends[0][2] + ends[1][2]
    first, second = (json.loads(output.splitlines()[-1])["history"] for _, output, _ in ends)
    assert results(first) == results(second)
    assert results(first) == results(whole)
    assert_identical(tmp_path / "whole", tmp_path / "process0")


def make_prepared(folder, count=3):
    """Fills a folder with prepared images: of four classes for training, of one for validation."""
    images = iter(make_split(5 * count, 0).images)
    for split, labels in (("train", "happy neutral sad surprise"), ("validation", "sad")):
        for label in labels.split():
            place = folder / folders.UNIQUE / split / label
            place.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(next(images)).save(place / f"{number}.png")


def load_in_two(*arguments):
    """Runs `load_together` in two processes; returns what each of them prints."""
    folder, *others = arguments
    port = free_port()
    module = "tests.support.train.load_together"
    ends = finish(*(forked.Process(module, folder, process, port, *others) for process in (0, 1)))
    assert [code for code, _, _ in ends] == [0, 0], ends[0][2] + ends[1][2]
    return [json.loads(output.splitlines()[-1]) for _, output, _ in ends]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0, 1])
def test_the_first_process_prepares_and_all_load_the_same(tmp_path, share):
    """Images stay on disk or are decoded into the memory of each process."""
    make_prepared(tmp_path)
    first, second = load_in_two(tmp_path, share)
    assert first[0] == ["prepare", "build"]
    assert second[:2] == [[], False]
    assert first[2:-1] == second[2:-1]
    assert first[3:5] == [["ndarray" if share else "StoredImages"], 2]


@pytest.mark.slow
def test_a_host_with_the_files_of_its_part_loads_what_it_needs(tmp_path, monkeypatch):
    """The second host has no other file, not even of the preparation."""
    here, there = tmp_path / "host0", tmp_path / "host1"
    make_prepared(here / "data", 6)
    there.mkdir()
    monkeypatch.setattr(shards, "RECORDS", 2)
    monkeypatch.chdir(here)
    splits = builder.load(Path("data"), ImageFormat(48), memory=-1)
    files = load_images.list_files(splits, 1, 2)
    assert len(files) < len(list(here.rglob("*.array_record*")))
    for path in files:
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there / path)
    train = splits["train"]
    own = train.images[list_part(train.labels, 1, 2)]
    first, second = load_in_two(tmp_path, 1, 2)
    assert second[:2] == [[], False]
    assert first[2:-1] == second[2:-1]
    assert second[3] == ["StoredImages"]
    assert second[-1] == hashlib.sha256(own.tobytes()).hexdigest()


@pytest.mark.slow
def test_an_error_of_the_first_process_ends_all(single, tmp_path):
    finish(*start_two(tmp_path, RUN | {"epochs": 1}))
    for code, _, errors in finish(*start_two(tmp_path, RUN | {"epochs": 1, "learning_rate": 0.5})):
        assert code == 2
        assert "learning_rate=0.03" in errors
        assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3, "batch_size": 20}, "config.batch_size, config.seed"),
        # Its recipe has one more field, the length of the schedule.
        ({"schedule": "cosine"}, "config.schedule, sets of fields"),
    ],
)
def test_processes_of_different_runs_are_refused(tmp_path, change, named):
    changed = [RUN, RUN | change]
    port = free_port()
    processes = [
        start(tmp_path / "run", changes, options=("--process", process, "--port", port))
        for process, changes in enumerate(changed)
    ]
    for code, _, errors in finish(*processes):
        assert code == 2
        assert f"processes with different {named}." in errors
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both(tmp_path):
    processes = start_two(tmp_path, {"epochs": 5000, "patience": 0})
    limit = time.monotonic() + 120
    while not (tmp_path / "process0" / "best").is_dir() and time.monotonic() < limit:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    ends = finish(*processes)
    assert [code for code, _, _ in ends] == [EXIT_CODE] * 2, ends[0][2]

"""The number of devices and of processes does not change the result of training."""

import json
import signal
import time

import jax
import numpy as np
import pytest
from PIL import Image

from faceemo.data.augment.mixing import training_batches
from faceemo.train import parallel
from faceemo.train.interrupt import EXIT_CODE
from tests.support import forked
from tests.support.train.processes import finish, free_port, results, run, start, stored
from tests.support.train.tiny import make_split, tiny_config

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
@pytest.mark.parametrize("share", [0, 1])
def test_the_first_process_prepares_and_all_load_the_same(tmp_path, share):
    """Images stay on disk or are decoded into the memory of each process."""
    images = make_split(12, 0).images
    for split, labels in (("train", "happy neutral sad surprise"), ("validation", "sad")):
        for label in labels.split():
            folder = tmp_path / "unique_images" / split / label
            folder.mkdir(parents=True)
            for number in range(3):
                Image.fromarray(images[number]).save(folder / f"{number}.png")
    port = free_port()
    module = "tests.support.train.load_together"
    processes = [forked.Process(module, tmp_path, process, port, share) for process in (0, 1)]
    ends = finish(*processes)
    assert [code for code, _, _ in ends] == [0, 0], ends[0][2] + ends[1][2]
    first, second = (json.loads(output.splitlines()[-1]) for _, output, _ in ends)
    assert first[0] == ["prepare", "build"]
    assert second[:2] == [[], False]
    assert first[2:] == second[2:]
    assert first[3:] == [["ndarray" if share else "StoredImages"], 2]


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

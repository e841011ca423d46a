"""Training on images from disk is training on images in memory, to the bit, killed or not."""

import dataclasses
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from faceemo.data.disk.stored_images import StoredImages
from faceemo.errors import UserError
from faceemo.train import epoch
from tests.support.data.on_disk import store
from tests.support.train.processes import assert_identical, finish, results, run, start
from tests.support.train.tiny import add_votes, make_model, make_splits
from tests.train import test_feature_cache
from tests.train.test_loop import fit

pytestmark = pytest.mark.slow

# Everything that draws by the image's index; the last batch of an epoch is padded.
RUN = {
    "epochs": 3,
    "patience": 0,
    "checkpoint_every_steps": 2,
    "mixup": 0.3,
    "targets": "sampled",
    "bn_policy": "recalibrate",
}


def voted_splits():
    splits = make_splits()
    return splits | {"train": add_votes(splits["train"])}


def stored_splits(folder, splits):
    return {name: store(split, folder / name) for name, split in splits.items()}


def fit_model(workdir, splits, **changes):
    model = make_model(noise=0.2, statistics=True)
    return results(fit(workdir, model, splits, **(RUN | changes))[0])


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run on images in memory: its folder and its history."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return folder, fit_model(folder, voted_splits())


@pytest.mark.parametrize("workers", [0, 2])
def test_disk_and_memory_train_alike(straight, tmp_path, workers):
    splits = stored_splits(tmp_path, voted_splits())
    history = fit_model(tmp_path / "run", splits, data_workers=workers)
    assert history == straight[1]
    assert_identical(straight[0], tmp_path / "run")


def test_a_run_that_stops_inside_an_epoch_goes_on_from_disk(straight, tmp_path, monkeypatch):
    """It begins on disk, goes on in memory, and ends on disk."""
    splits = stored_splits(tmp_path, voted_splits())
    shard, calls = epoch.parallel.shard, []
    for used, steps in ((splits, 9), (voted_splits(), 6)):

        def stop(batch, steps=steps):
            calls.append(batch)
            if len(calls) == steps:
                raise KeyboardInterrupt
            return shard(batch)

        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(epoch.parallel, "shard", stop)
            with pytest.raises(KeyboardInterrupt):
                fit_model(tmp_path / "run", used)
    assert fit_model(tmp_path / "run", splits) == straight[1]
    assert_identical(straight[0], tmp_path / "run")


@pytest.mark.parametrize("devices", [1, 3])
def test_a_killed_process_leaves_no_workers_and_resumes_to_the_bit(tmp_path, devices):
    changes = {"epochs": 3, "patience": 0, "checkpoint_every_steps": 2}
    whole = run(tmp_path / "straight", changes, devices=devices)
    on_disk, mark = ("--disk", tmp_path / "images"), uuid.uuid4().hex
    os.environ["FACEEMO_TEST_MARK"] = mark
    try:
        killed = start(
            tmp_path / "run",
            changes | {"data_workers": 2},
            devices=devices,
            options=("--kill", "batch:8", *on_disk),
        )
        assert finish(killed)[0][0] == -signal.SIGKILL
    finally:
        del os.environ["FACEEMO_TEST_MARK"]
    limit = time.monotonic() + 20
    while marked(mark) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not marked(mark)
    end = run(tmp_path / "run", changes, devices=devices, options=on_disk)
    assert results(end["history"]) == results(whole["history"])
    assert_identical(tmp_path / "straight", tmp_path / "run")


def marked(mark):
    """Returns the processes that have a mark in their environment, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if mark.encode() in environment and int(process.name) != os.getpid():
            found.append(process.name)
    return found


def test_the_watchdog_reads_images_on_disk(tmp_path):
    splits = make_splits()
    dark = splits["validation"].images[:] // 40
    splits["validation"] = dataclasses.replace(splits["validation"], images=dark)
    with pytest.raises(UserError, match="the files of the two splits were prepared differently"):
        fit(tmp_path / "run", splits=stored_splits(tmp_path, splits), epochs=1)


def test_damage_ends_the_run_with_the_name_of_the_file(tmp_path):
    splits = stored_splits(tmp_path, make_splits())
    images = splits["train"].images
    assert isinstance(images, StoredImages)
    path, count = images.files[1]
    content = bytearray(Path(path).read_bytes())
    for place in range(100, len(content), 500):
        content[place] ^= 0xFF
    Path(path).write_bytes(content)
    with pytest.raises(UserError, match=f"of the {count} images in {path}; found a file that is"):
        fit(tmp_path / "run", splits=splits, epochs=1)


def test_features_of_images_on_disk_are_cached(tmp_path):
    """And found again by a run that has the same images in memory."""
    splits = stored_splits(tmp_path / "images", make_splits())
    one = test_feature_cache.fit(tmp_path / "one", splits=splits)
    files = sorted((tmp_path / "data" / "features").glob("*.npy"))
    assert len(files) == 2
    two = test_feature_cache.fit(tmp_path / "two")
    assert sorted((tmp_path / "data" / "features").glob("*.npy")) == files
    assert results(one) == results(two)

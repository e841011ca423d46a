"""Killed at any point and started again, a run ends as one that never stopped, bit for bit."""

import json
import shutil
import signal
import time

import numpy as np
import pytest

from faceemo.train.interrupt import EXIT_CODE
from tests.support.train.processes import assert_identical, finish, results, run, start

RUN = {"epochs": 4, "patience": 0, "checkpoint_every_steps": 2}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run without a break: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return folder, run(folder, RUN)


@pytest.mark.slow
def test_killed_inside_saves_and_between_batches(straight, tmp_path):
    """Each process kills itself at an operation on a file, or at a batch, drawn at random."""
    folder, whole = straight
    assert whole["files"] > 100, "the hook sees what Orbax does"
    rng = np.random.default_rng(5)
    kills = [f"file:{rng.integers(1, whole['files'] // 2)}" for _ in range(4)]
    kills.insert(2, f"batch:{rng.integers(2, whole['batches'] // 3)}")
    codes = []
    for kill in kills:
        process = start(tmp_path / "run", RUN, options=("--kill", kill))
        codes.append(finish(process)[0][0])
    # A late one may find the run finished already.
    assert codes.count(-signal.SIGKILL) >= 3, codes
    end = run(tmp_path / "run", RUN)
    assert results(end["history"]) == results(whole["history"])
    assert_identical(folder, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*/*tmp*")), "leftovers of killed saves are pruned"


@pytest.mark.slow
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_says_so_and_goes_on(straight, tmp_path, asked):
    """Without checkpoints inside epochs: what is there after the signal, the signal has saved."""
    _, whole = straight
    workdir = tmp_path / "run"
    changes = {"epochs": 3000, "patience": 0}
    process = start(workdir, changes)
    limit = time.monotonic() + 120
    while not (workdir / "best").is_dir() and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(asked)
    ((code, _, errors),) = finish(process)
    assert code == EXIT_CODE, errors
    assert "saving" in errors
    stopped = max(int(path.name) for path in (workdir / "latest").glob("[0-9]*"))
    record = json.loads((workdir / "latest" / str(stopped) / "history" / "metadata").read_text())
    done = len(record["epochs"])
    # Finished from there, it is one that never stopped.
    end = run(workdir, {"epochs": done + 1, "patience": 0})
    shutil.rmtree(workdir)
    again = run(workdir, {"epochs": done + 1, "patience": 0})
    assert results(end["history"]) == results(again["history"])
    common = min(done, 4)
    assert results(end["history"])[:common] == results(whole["history"])[:common]

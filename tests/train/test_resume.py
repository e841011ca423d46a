"""A run that is killed anywhere and started again ends as one that never stopped, to the bit."""

import json
import shutil
import signal
import time

import numpy as np
import pytest

from faceemo.train.interrupt import EXIT_CODE
from tests.support.train.processes import assert_identical, finish, results, run, start

pytestmark = pytest.mark.slow

RUN = {"epochs": 4, "patience": 0, "checkpoint_every_steps": 2}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An uninterrupted run: its folder and the JSON that it printed."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return folder, run(folder, RUN)


@pytest.mark.slow
def test_resume_after_kills_in_saves_and_between_batches_equals_straight_through(
    straight, tmp_path
):
    """Each process kills itself at an operation on a file, or at a batch, drawn at random."""
    folder, whole = straight
    assert whole["files"] > 100, "the hook sees Orbax's operations"
    rng = np.random.default_rng(5)
    kills = [f"file:{rng.integers(1, whole['files'] // 2)}" for _ in range(4)]
    kills.insert(2, f"batch:{rng.integers(2, whole['batches'] // 3)}")
    codes = []
    for kill in kills:
        process = start(tmp_path / "run", RUN, options=("--kill", kill))
        codes.append(finish(process)[0][0])
    # A late kill may find the run finished already.
    assert codes.count(-signal.SIGKILL) >= 3, codes
    end = run(tmp_path / "run", RUN)
    assert results(end["history"]) == results(whole["history"])
    assert_identical(folder, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*/*tmp*")), "leftovers of killed saves are pruned"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_gets_a_signal_saves_and_resumes(straight, tmp_path, number):
    """It has no checkpoints inside epochs, so the one found afterwards is due to the signal."""
    _, whole = straight
    workdir = tmp_path / "run"
    changes = {"epochs": 3000, "patience": 0}
    process = start(workdir, changes)
    limit = time.monotonic() + 120
    while not (workdir / "best").is_dir() and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(number)
    ((code, _, errors),) = finish(process)
    assert code == EXIT_CODE, errors
    assert "saving" in errors
    stopped = max(int(path.name) for path in (workdir / "latest").glob("[0-9]*"))
    record = json.loads((workdir / "latest" / str(stopped) / "history" / "metadata").read_text())
    done = len(record["epochs"])
    # Resumed from there, it equals a run that never stopped.
    end = run(workdir, {"epochs": done + 1, "patience": 0})
    shutil.rmtree(workdir)
    again = run(workdir, {"epochs": done + 1, "patience": 0})
    assert results(end["history"]) == results(again["history"])
    common = min(done, 4)
    assert results(end["history"])[:common] == results(whole["history"])[:common]

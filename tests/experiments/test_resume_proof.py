"""Tests of scripts/verify_resume.py, which must be able to reach either verdict."""

import os
import shutil
import subprocess
import sys

import pytest

from faceemo.errors import UserError
from faceemo.experiments import resume_proof
from tests.support.data import drawn_zip
from tests.support.places import REPOSITORY
from tests.support.xla import COMPILE_QUICKLY
from tests.train.test_loop import fit

pytestmark = pytest.mark.slow


def test_a_difference_in_an_array_or_a_metric_is_found(tmp_path, capsys):
    fit(tmp_path / "one", epochs=2, patience=0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert resume_proof.compare_runs(tmp_path / "one", tmp_path / "two")
    assert "\nIDENTICAL: " in capsys.readouterr().out
    fit(tmp_path / "other", epochs=2, patience=0, seed=3)
    assert not resume_proof.compare_runs(tmp_path / "one", tmp_path / "other")
    output = capsys.readouterr().out
    assert "NOT IDENTICAL" in output
    assert "best/metrics" in output
    assert "best/weights/params/head" in output


def test_a_command_that_fails_by_itself_is_refused(tmp_path):
    with pytest.raises(UserError, match="variant from 0 to 11"):
        resume_proof.verify(tmp_path, ["--config=configs/vgg16.py:12"], kills=1, seed=0)


# Saves as Orbax does: into a folder that gets its final name when it is complete.
_STAND_IN = """
import itertools, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[3])))
folder, saves = pathlib.Path(sys.argv[1]) / "latest", int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for left in folder.glob("*tmp*"):
    left.rmdir()
for number in itertools.count(1):
    done = len(list(folder.iterdir()))
    if done >= saves:
        break
    partial = folder / f"{done}.orbax-checkpoint-tmp"
    partial.mkdir()
    time.sleep(0.03)
    partial.rename(folder / str(done))
    time.sleep(0.03)
"""


@pytest.fixture
def stand_in(monkeypatch):
    """Replaces training; `arguments` are the numbers of saves of the first and all other runs."""
    saves = iter(())

    def start(workdir, arguments):
        nonlocal saves
        if workdir.name == "straight":
            saves = iter([arguments[0]])
        code = str(resume_proof.EXIT_CODE)
        command = [sys.executable, "-c", _STAND_IN, str(workdir), next(saves, arguments[1]), code]
        resume_proof._log_path(workdir).touch()
        return subprocess.Popen(command)

    monkeypatch.setattr(resume_proof, "_start", start)
    monkeypatch.setattr(resume_proof, "compare_runs", lambda straight, killed: True)


def test_every_interruption_comes_between_start_and_end(tmp_path, stand_in, capsys):
    assert resume_proof.verify(tmp_path, ["30", "30"], kills=3, seed=0)
    output = capsys.readouterr().out
    assert "straight through: 30 saves" in output
    assert "SIGKILL 3: in save" in output
    assert "SIGTERM: " in output
    assert "too late" not in output
    assert len(list((tmp_path / "killed" / "latest").iterdir())) == 30


def test_a_save_under_the_name_of_a_killed_one_counts(tmp_path):
    """The leftover folder is removed first; between two polls one operation happens."""
    folder = tmp_path / "latest" / "5.orbax-checkpoint-tmp"
    folder.mkdir(parents=True)
    operations = iter([lambda: None, folder.rmdir, folder.mkdir, lambda: None])

    class Process:
        def poll(self):
            operation = next(operations, None)
            return operation() if operation else 0

    assert len(resume_proof._wait_for_saves(Process(), tmp_path)) == 1


@pytest.mark.slow(seconds=100)
def test_a_real_run_is_killed_and_resumes(tmp_path):
    """Runs the script as a user does, in a folder that it makes: a head on frozen features."""
    drawn_zip.write(tmp_path / "data", 3, {"train": 32, "validation": 16, "test": 8})
    config = "configs/mobilenet.py:0,image_size=32,weights=none,batch_size=8,policy=keep"
    process = subprocess.run(
        [
            *(sys.executable, "scripts/verify_resume.py"),
            *("--kills=1", "--every=1", f"--keep={tmp_path / 'new' / 'runs'}"),
            *("--config", f"{config},data_dir={tmp_path / 'data'},epochs=2"),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "XLA_FLAGS": COMPILE_QUICKLY},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "SIGKILL 1: in save" in process.stdout
    assert "SIGTERM: " in process.stdout
    assert "\nIDENTICAL: " in process.stdout


def test_without_an_interruption_nothing_is_proven(tmp_path, stand_in, capsys):
    """The results are equal because the second run ended before any signal was sent."""
    assert not resume_proof.verify(tmp_path, ["30", "0"], kills=1, seed=0)
    output = capsys.readouterr().out
    assert "SIGKILL 1: too late" in output
    assert "NOT PROVEN" in output


def test_a_run_with_too_few_saves_is_refused(tmp_path, stand_in):
    with pytest.raises(UserError, match=r"at least 5 saves .*found 2\. .*lower --every"):
        resume_proof.verify(tmp_path, ["2", "2"], kills=3, seed=0)

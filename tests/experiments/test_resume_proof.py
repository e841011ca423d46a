"""The verdict of scripts/verify_resume.py, which must be able to go either way."""

import os
import shutil
import subprocess
import sys

import pytest

from faceemo.data.sample import sample
from faceemo.errors import UserError
from faceemo.experiments import resume_proof
from tests.support.places import REPOSITORY
from tests.train.test_loop import fit


def test_the_verdict_sees_a_difference_in_a_leaf_and_in_a_metric(tmp_path, capsys):
    fit(tmp_path / "one", epochs=2, patience=0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert resume_proof.verdict(tmp_path / "one", tmp_path / "two")
    assert "\nIDENTICAL: " in capsys.readouterr().out
    fit(tmp_path / "other", epochs=2, patience=0, seed=3)
    assert not resume_proof.verdict(tmp_path / "one", tmp_path / "other")
    said = capsys.readouterr().out
    assert "NOT IDENTICAL" in said
    assert "best/metrics" in said
    assert "best/weights/params/head" in said


def test_a_command_that_fails_by_itself_is_no_proof(tmp_path):
    with pytest.raises(UserError, match="variant from 0 to 11"):
        resume_proof.verify(tmp_path, ["--config=configs/vgg16.py:12"], kills=1, seed=0)


# Saves as Orbax does, into a folder that has another name until it is whole.
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
    """Runs that save so often as the second argument says, the first one and all others."""
    saves = iter(())

    def start(workdir, arguments):
        nonlocal saves
        if workdir.name == "straight":
            saves = iter([arguments[0]])
        code = str(resume_proof.EXIT_CODE)
        command = [sys.executable, "-c", _STAND_IN, str(workdir), next(saves, arguments[1]), code]
        resume_proof._log(workdir).touch()
        return subprocess.Popen(command)

    monkeypatch.setattr(resume_proof, "_start", start)
    monkeypatch.setattr(resume_proof, "verdict", lambda straight, killed: True)


def test_every_interruption_lands_between_start_and_end(tmp_path, stand_in, capsys):
    assert resume_proof.verify(tmp_path, ["30", "30"], kills=3, seed=0)
    said = capsys.readouterr().out
    assert "straight through: 30 saves" in said
    assert "SIGKILL 3: in save" in said
    assert "SIGTERM: " in said
    assert "too late" not in said
    assert len(list((tmp_path / "killed" / "latest").iterdir())) == 30


def test_a_save_under_the_name_of_a_killed_one_counts(tmp_path):
    """Its leftover is removed first; between two looks the folder changes by one act."""
    folder = tmp_path / "latest" / "5.orbax-checkpoint-tmp"
    folder.mkdir(parents=True)
    acts = iter([lambda: None, folder.rmdir, folder.mkdir, lambda: None])

    class Life:
        def poll(self):
            act = next(acts, None)
            return act() if act else 0

    assert len(resume_proof._await_saves(Life(), tmp_path)) == 1


@pytest.mark.slow
def test_a_real_run_is_killed_and_goes_on(tmp_path):
    """The script as a user gives it, in a folder that it makes: a head on frozen features."""
    sample.write_zip(tmp_path / "data", seed=3, counts={"train": 32, "validation": 16, "test": 8})
    config = "configs/mobilenet.py:0,image_size=32,weights=none,batch_size=8,policy=keep"
    process = subprocess.run(
        [
            *(sys.executable, "scripts/verify_resume.py"),
            *("--kills=1", "--every=1", f"--keep={tmp_path / 'new' / 'runs'}"),
            *("--config", f"{config},data_dir={tmp_path / 'data'},epochs=2"),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "SIGKILL 1: in save" in process.stdout
    assert "SIGTERM: " in process.stdout
    assert "\nIDENTICAL: " in process.stdout


def test_without_an_interruption_nothing_is_proven(tmp_path, stand_in, capsys):
    """The same result, because the second run was over before anything struck."""
    assert not resume_proof.verify(tmp_path, ["30", "0"], kills=1, seed=0)
    said = capsys.readouterr().out
    assert "SIGKILL 1: too late" in said
    assert "NOT PROVEN" in said


def test_a_run_that_hardly_saves_is_refused(tmp_path, stand_in):
    with pytest.raises(UserError, match=r"at least 5 saves .*found 2\. .*lower --every"):
        resume_proof.verify(tmp_path, ["2", "2"], kills=3, seed=0)

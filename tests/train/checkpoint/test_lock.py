"""A folder is locked by one run at a time, until its process ends, however it ends."""

import subprocess
import sys

import pytest

from faceemo import staging
from faceemo.errors import UserError
from faceemo.train import loop
from tests.train.test_loop import fit

# Locks the folder as a run does, until it is killed.
_HOLDER = """
import sys, time
from pathlib import Path
from faceemo.train.checkpoint.lock import lock_workdir
with lock_workdir(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_second_run_is_refused_and_removes_nothing_of_the_first(tmp_path):
    saving = tmp_path / "run" / "latest" / "5.orbax-checkpoint-tmp"
    saving.mkdir(parents=True)
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(UserError, match="found another run that is training there now"):
                fit(tmp_path / "run", epochs=1)
            assert saving.is_dir()
        finally:
            holder.kill()
    assert len(fit(tmp_path / "run", epochs=1)[0]) == 1, "a killed run leaves no lock"
    assert not saving.exists()


def test_a_failed_run_releases_its_lock(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", broken)
        with pytest.raises(OSError):  # noqa: PT011
            fit(tmp_path / "run")
    with staging.locked(tmp_path / "run", wait=False):
        pass

"""Messages name a run that exists, or none."""

import os
from pathlib import Path

import pytest

from faceemo.errors import UserError
from faceemo.train.checkpoint import run_folders, trained_model


def test_the_newest_run_is_the_example_and_without_one_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_folders.advise() == "train one first (there is no run in checkpoints/)"
    for age, name in enumerate(("sweep/b", "a", "c")):
        run = Path("checkpoints") / name
        (run / "best" / "12").mkdir(parents=True)
        os.utime(run, (1e9 - age, 1e9 - age))
    Path("checkpoints/empty/best").mkdir(parents=True)
    assert run_folders.advise() == "name a run that exists, such as checkpoints/sweep/b"
    with pytest.raises(UserError, match="such as checkpoints/sweep/b; 'builtin' is"):
        trained_model.read(Path("checkpoints/nothing"))

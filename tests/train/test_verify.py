"""The verdict of scripts/verify_resume.py, which must be able to go either way."""

import shutil

import pytest

from faceemo.errors import UserError
from faceemo.train import verify
from tests.train.test_loop import fit


def test_the_verdict_sees_a_difference_in_a_leaf_and_in_a_metric(tmp_path, capsys):
    fit(tmp_path / "one", epochs=2, patience=0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert verify.verdict(tmp_path / "one", tmp_path / "two")
    assert "\nIDENTICAL: " in capsys.readouterr().out
    fit(tmp_path / "other", epochs=2, patience=0, seed=3)
    assert not verify.verdict(tmp_path / "one", tmp_path / "other")
    said = capsys.readouterr().out
    assert "NOT IDENTICAL" in said
    assert "best/metrics" in said
    assert "best/weights/params/head" in said


def test_a_command_that_fails_by_itself_is_no_proof(tmp_path):
    with pytest.raises(UserError, match="variant from 0 to 11"):
        verify.verify(tmp_path, ["--config=configs/vgg16.py:12"], kills=1, seed=0)

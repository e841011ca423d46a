"""The log of a run has all that is printed, and the details that are not."""

import sys

import pytest

from faceemo.errors import UserError
from faceemo.train import run_log


def read(workdir):
    return (workdir / run_log.NAME).read_text("utf-8")


def test_details_are_in_the_log_alone_and_all_else_in_both(tmp_path, capsys):
    with run_log.keep(tmp_path):
        print("shown")
        with run_log.details():
            print("a détail")
            with run_log.details():
                print("inner")
        run_log.warn("mind this")
        print("shown, too")
    assert capsys.readouterr() == ("shown\nshown, too\n", "warning: mind this\n")
    first, *rest = read(tmp_path).splitlines()
    assert first.startswith("--- 20")
    assert rest == ["shown", "a détail", "inner", "warning: mind this", "shown, too"]


def test_without_a_log_details_are_printed(capsys):
    with run_log.details():
        print("detail")
    run_log.warn("w")
    assert capsys.readouterr() == ("detail\n", "warning: w\n")


def test_the_folder_may_come_later_and_is_not_made(tmp_path):
    workdir = tmp_path / "run"
    with run_log.keep(workdir):
        print("early")
        assert not workdir.exists()
        workdir.mkdir()
        print("late")
    assert read(workdir).splitlines()[1:] == ["early", "late"]
    with run_log.keep(tmp_path / "none"):
        print("lost")
    assert not (tmp_path / "none").exists()


def test_errors_stand_at_the_end_and_runs_one_after_the_other(tmp_path):
    shown = sys.stdout
    with pytest.raises(UserError), run_log.keep(tmp_path):
        raise UserError(expected="a", found="b", fix="c")
    with pytest.raises(ZeroDivisionError), run_log.keep(tmp_path):
        print(1 / 0)
    assert sys.stdout is shown
    lines = read(tmp_path).splitlines()
    assert lines[1] == "faceemo: error: expected a; found b. Fix: c"
    assert lines[-1].startswith("ZeroDivisionError")
    assert sum(line.startswith("--- ") for line in lines) == 2

"""Tests that a sweep skips finished runs, resumes interrupted ones and survives failures."""

import io
import itertools
import json
import subprocess
import sys
import textwrap
import time
import types

import pytest

from faceemo.commands import cli
from faceemo.commands.sweep import parse_variants, run_sweep
from faceemo.config import field_words
from faceemo.errors import UserError
from faceemo.experiments import sweep, time_left
from tests.support.places import REPOSITORY
from tests.support.stand_in import replace_training

# A sweep of variant 3 alone that runs in its own process, which the test interrupts.
SWEEPER = """
    import pathlib, signal, sys
    from faceemo.experiments import sweep
    from tests.support.stand_in import make_command

    # As faceemo sweep does. SIGINT is ignored where tests run in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep.Run.command = make_command(sys.argv[1])
    sweep.data.check_present = lambda config: None
    root = pathlib.Path(sys.argv[2])
    try:
        sweep.train_runs(sweep.plan_runs(root, [("vgg16", 3)]), root, root)
    except KeyboardInterrupt:
        sys.exit(7)
"""


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    replace_training(monkeypatch, tmp_path)
    return tmp_path


def count_starts(run):
    return len((run.workdir / "started").read_text())


def test_every_run_has_its_own_folder_and_seeds_are_the_outer_loop(tmp_path):
    models = itertools.product(["vgg16", "resnet50v2"], [0, 7])
    runs = sweep.plan_runs(tmp_path, models, 3, "image_size=48,epochs=2")
    assert len({run.workdir for run in runs}) == len(runs) == 12
    assert [run.config.seed - 1991921 for run in runs] == [0] * 4 + [1] * 4 + [2] * 4
    assert all(run.config.image_size == 48 and run.config.epochs == 2 for run in runs)
    assert {(run.config.arch, run.config.variant) for run in runs[:4]} == {
        ("vgg16", 0), ("vgg16", 7), ("resnet50v2", 0), ("resnet50v2", 7),
    }  # fmt: skip
    with pytest.raises(UserError, match="--seeds of at least 1"):
        sweep.plan_runs(tmp_path, [("vgg16", 0)], 0)


def test_a_failure_does_not_stop_other_runs_and_is_retried(stand_in, capsys):
    runs = sweep.plan_runs(stand_in / "sweep", [("vgg16", number) for number in range(3)])
    for attempt in (1, 2):
        failed = sweep.train_runs(runs, stand_in / "sweep", stand_in)
        assert list(failed) == [runs[1].name]
        assert "faceemo: error: expected more (exit code 2" in failed[runs[1].name]
        assert [count_starts(run) for run in runs] == [1, attempt, 1]
    output = capsys.readouterr().out
    assert "epoch  1  of 2" in output
    assert output.count("already finished") == 2
    log = (stand_in / "sweep" / sweep.LOGS / f"{runs[1].name}.log").read_text()
    assert "epoch  1  of 1" in log


def test_runs_that_cannot_train_are_refused_before_any_trains(stand_in, capsys):
    """Frozen features of MobileNet are known to be dead at 48 pixels; variant 2 trains blocks."""
    root, models = stand_in / "sweep", [("mobilenet", number) for number in range(3)]
    runs = sweep.plan_runs(root, models, 1, "image_size=48")
    with field_words.spelled(field_words.as_override):
        assert list(sweep.train_runs(runs, root, stand_in)) == [run.name for run in runs[:2]]
        printed = capsys.readouterr().out
        assert printed.count("Fix: give --overrides image_size=128") == 1
        assert printed.startswith("2 of 3 runs are refused: expected image_size=64 or more")
        assert [(run.workdir / "started").exists() for run in runs] == [False, False, True]
        with pytest.raises(UserError, match="image_size=64 or more"):
            sweep.train_runs(runs[:2], stand_in / "other", stand_in)
    assert not (stand_in / "other").exists()


def test_a_warning_is_printed_for_the_first_run_alone(capsys):
    said, log = set(), io.StringIO()
    for number in (1, 2):
        lines = [f"epoch {number}\n", "warning: seen\n", f"warning: of {number}\n", "\n"]
        process = types.SimpleNamespace(stdout=lines)
        assert sweep._copy_output(process, log, said) == f"warning: of {number}"
    assert capsys.readouterr().out.split("\n  ") == [
        "  epoch 1", "warning: seen", "warning: of 1", "epoch 2", "warning: of 2\n"
    ]  # fmt: skip
    assert log.getvalue().count("warning: seen\n") == 2


@pytest.mark.parametrize("saved", [False, True])
def test_an_interruption_says_whether_the_run_has_saved(stand_in, monkeypatch, capsys, saved):
    def interrupt(run, *rest):
        if saved:
            (run.workdir / "latest" / "3").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "_train", interrupt)
    root = stand_in / "sweep"
    code = run_sweep(root, lambda: sweep.plan_runs(root, [("vgg16", 0)]))
    assert code == 130
    said = capsys.readouterr().out.splitlines()[-1]
    assert ("state of vgg16-0 is saved in" in said) == saved
    assert ("before vgg16-0 had saved anything" in said) == (not saved)


def test_finished_runs_keep_only_their_best_weights(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)])
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    assert not (run.workdir / "latest").exists()
    assert [path.name for path in (run.workdir / "best").iterdir()] == ["12"]
    assert (run.workdir / "frozen" / "0").is_dir()


def test_a_run_with_more_epochs_is_not_finished(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    (longer,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=5")
    assert run.workdir == longer.workdir
    assert run.is_finished()
    assert not longer.is_finished()
    (patient,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3,patience=1")
    assert patient.is_finished(), "it would have stopped after the same epoch"


def test_a_run_on_other_images_is_not_finished(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    for where in ("data_dir=elsewhere", "source=other.zip"):
        (other,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, f"epochs=3,{where}")
        assert other.workdir == run.workdir
        assert not other.is_finished()


def test_a_run_that_stopped_early_is_not_finished_without_patience(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=6,patience=1")
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    (patient,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=6,patience=0")
    assert run.is_finished()
    assert not patient.is_finished()


def test_checkpoints_left_by_a_killed_sweep_are_removed_later(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    (run.workdir / "latest" / "9").mkdir(parents=True)
    sweep.train_runs([run], stand_in / "sweep", stand_in)
    assert not (run.workdir / "latest").exists()


def test_time_left_depends_on_the_blocks_that_train(tmp_path):
    """Predicts real times (minutes, docs/study.md) from those of the first two runs."""
    minutes = (1.3, 3.2, 5.1, 3.8, 5.1, 6.1, 6.2, 6.4, 7.5, 8.4)
    models = [("vgg16", variant) for variant in range(10)]
    runs = sweep.plan_runs(tmp_path, models, 1, "epochs=3,steps_per_epoch=150")
    assert time_left.estimate_seconds_left(runs) is None
    for run, taken in zip(runs[:2], minutes, strict=False):
        run.workdir.mkdir()
        summary = {"config": run.config.to_dict(), "seconds": 60 * taken}
        (run.workdir / "summary.json").write_text(json.dumps(summary))
        history = [{"validation/accuracy": accuracy} for accuracy in (0.5, 0.6, 0.7)]
        (run.workdir / "history.json").write_text(json.dumps(history))
    assert time_left.estimate_seconds_left(runs) == pytest.approx(60 * sum(minutes[2:]), rel=0.15)
    (other,) = sweep.plan_runs(tmp_path, [("resnet50v2", 1)], 1, "epochs=3,steps_per_epoch=150")
    assert time_left.estimate_seconds_left([*runs[:2], other]) == pytest.approx(60 * 3.375)
    assert time_left.estimate_seconds_left([*runs[:2], other, other], 30) == pytest.approx(
        2 * (60 * 3.375 + 30)
    )


def test_an_interrupted_sweep_lets_the_current_run_save(stand_in):
    (run,) = sweep.plan_runs(stand_in / "sweep", [("vgg16", 3)])
    arguments = [str(stand_in / "stand_in.py"), str(stand_in / "sweep")]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SWEEPER), *arguments], cwd=REPOSITORY
    ) as child:
        try:
            deadline = time.monotonic() + 60
            while not (run.workdir / "waits").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            child.terminate()
            assert child.wait(60) == 7
        finally:
            child.kill()
    assert (run.workdir / "saved").exists()
    assert not run.is_finished()
    assert not sweep.train_runs([run], stand_in / "sweep", stand_in)
    assert run.is_finished()


@pytest.mark.parametrize("text", ["7-", "x", "-3", "3-0", "12", "99", "0-99"])
def test_invalid_variants_are_refused(text):
    with pytest.raises(UserError, match="expected --variants from 0 to 11, such as 0-3"):
        parse_variants([text])


def test_the_command_refuses_an_unknown_variant(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sweep", "--variants=12", "--root", str(tmp_path)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("faceemo: error: expected")
    assert not list(tmp_path.iterdir())

"""A sweep skips, resumes, survives failures, and ranks what is there."""

import csv
import dataclasses
import html
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from faceemo import sweep
from faceemo.analysis import leaderboard, settings
from faceemo.config import make_config
from faceemo.errors import UserError
from tests.test_main import REPOSITORY

# In place of the training: it leaves what a run leaves, fails for variant 1, waits for variant 3.
STAND_IN = """
    import json, pathlib, signal, sys, time
    workdir, arch, variant, seed, config = json.loads(sys.argv[1])
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / "started").open("a") as file:
        file.write("x")
    print("epoch  1  of", variant, flush=True)
    if variant == 1:
        print("\\r 10%\\rfaceemo: error: expected more", file=sys.stderr)
        sys.exit(2)
    if variant == 3 and len((workdir / "started").read_text()) == 1:
        def stop(number, frame):
            (workdir / "saved").touch()
            sys.exit(75)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
        (workdir / "waits").touch()
        time.sleep(100)
    for folder in ("latest/7", "best/3", "best/12", "frozen/0"):
        (workdir / folder).mkdir(parents=True, exist_ok=True)
    accuracies = [0.6, 0.7] + [0.65] * (config["patience"] or 9)  # the second is the best
    (workdir / "history.json").write_text(
        json.dumps([{"validation/accuracy": each} for each in accuracies[:config["epochs"]]])
    )
    accuracy = 0.5 + variant / 100 + (seed - 1991921) / 1000
    (workdir / "summary.json").write_text(json.dumps({
        "arch": arch, "variant": variant, "seed": seed, "config": config,
        "val_accuracy": accuracy, "val_accuracy_interval": [accuracy - 0.02, accuracy + 0.01],
        "val_macro_f1": 0.4, "majority_baseline": 0.25, "train_accuracy": 0.6, "best_epoch": 2,
        "epochs_run": 3, "seconds": 90, "params_trainable": 1234567,
        "warnings": {"epoch 1": "<b>odd</b>"} if variant == 2 else {},
    }))
"""


# A sweep of variant 3 alone, in a process of its own, to be interrupted.
SWEEPER = """
    import pathlib, signal, sys
    from faceemo import sweep
    from tests.test_sweep import commander

    # as scripts/sweep.py does; SIGINT is ignored where tests run in the background
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep.Run.command = commander(sys.argv[1])
    root = pathlib.Path(sys.argv[2])
    try:
        sweep.sweep(sweep.plan(root, [("vgg16", 3)]), root, root)
    except KeyboardInterrupt:
        sys.exit(7)
"""


def commander(script):
    """A `Run.command` that starts the stand-in."""

    def command(run, configs):
        told = [str(run.workdir), run.config.arch, run.config.variant, run.config.seed]
        return [sys.executable, str(script), json.dumps([*told, run.config.to_dict()])]

    return command


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    script = tmp_path / "stand_in.py"
    script.write_text(textwrap.dedent(STAND_IN))
    monkeypatch.setattr(sweep.Run, "command", commander(script))
    return tmp_path


def started(run):
    return len((run.workdir / "started").read_text())


def test_every_run_has_a_folder_of_its_own_and_the_seeds_come_last(tmp_path):
    models = itertools.product(["vgg16", "resnet50v2"], [0, 7])
    runs = sweep.plan(tmp_path, models, 3, "image_size=48,epochs=2")
    assert len({run.workdir for run in runs}) == len(runs) == 12
    assert [run.config.seed - 1991921 for run in runs] == [0] * 4 + [1] * 4 + [2] * 4
    assert all(run.config.image_size == 48 and run.config.epochs == 2 for run in runs)
    assert {(run.config.arch, run.config.variant) for run in runs[:4]} == {
        ("vgg16", 0), ("vgg16", 7), ("resnet50v2", 0), ("resnet50v2", 7),
    }  # fmt: skip
    with pytest.raises(UserError, match="one seed"):
        sweep.plan(tmp_path, [("vgg16", 0)], 0)


def test_a_failure_does_not_stop_the_others_and_is_tried_again(stand_in, capsys):
    runs = sweep.plan(stand_in / "sweep", [("vgg16", number) for number in range(3)])
    for attempt in (1, 2):
        failed = sweep.sweep(runs, stand_in / "sweep", stand_in)
        assert list(failed) == [runs[1].name]
        assert "faceemo: error: expected more (exit code 2" in failed[runs[1].name]
        assert [started(run) for run in runs] == [1, attempt, 1]
    said = capsys.readouterr().out
    assert "epoch  1  of 2" in said
    assert said.count("finished before") == 2
    log = (stand_in / "sweep" / sweep.LOGS / f"{runs[1].name}.log").read_text()
    assert "epoch  1  of 1" in log


def test_of_finished_runs_the_best_weights_stay(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)])
    sweep.sweep([run], stand_in / "sweep", stand_in)
    assert not (run.workdir / "latest").exists()
    assert [path.name for path in (run.workdir / "best").iterdir()] == ["12"]
    assert (run.workdir / "frozen" / "0").is_dir()


def test_another_budget_is_not_finished(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.sweep([run], stand_in / "sweep", stand_in)
    (longer,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=5")
    assert run.workdir == longer.workdir
    assert run.finished()
    assert not longer.finished()
    (patient,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3,patience=1")
    assert patient.finished(), "it would have stopped after the same epoch"


def test_other_images_are_not_finished(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.sweep([run], stand_in / "sweep", stand_in)
    for where in ("data_dir=elsewhere", "source=other.zip"):
        (other,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, f"epochs=3,{where}")
        assert other.workdir == run.workdir
        assert not other.finished()


def test_a_run_that_stopped_early_is_not_finished_without_patience(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=6,patience=1")
    sweep.sweep([run], stand_in / "sweep", stand_in)
    (patient,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=6,patience=0")
    assert run.finished()
    assert not patient.finished()


def test_what_a_killed_sweep_did_not_prune_is_pruned_later(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 2)], 1, "epochs=3")
    sweep.sweep([run], stand_in / "sweep", stand_in)
    (run.workdir / "latest" / "9").mkdir(parents=True)
    sweep.sweep([run], stand_in / "sweep", stand_in)
    assert not (run.workdir / "latest").exists()


def test_time_left_follows_what_trains(tmp_path):
    """Minutes of a real column (docs/study.md): the rest is foretold from its two first runs."""
    minutes = (1.3, 3.2, 5.1, 3.8, 5.1, 6.1, 6.2, 6.4, 7.5, 8.4)
    models = [("vgg16", variant) for variant in range(10)]
    runs = sweep.plan(tmp_path, models, 1, "epochs=3,steps_per_epoch=150")
    assert sweep.seconds_left(runs) is None
    for run, taken in zip(runs[:2], minutes, strict=False):
        run.workdir.mkdir()
        summary = {"config": run.config.to_dict(), "seconds": 60 * taken}
        (run.workdir / "summary.json").write_text(json.dumps(summary))
        history = [{"validation/accuracy": accuracy} for accuracy in (0.5, 0.6, 0.7)]
        (run.workdir / "history.json").write_text(json.dumps(history))
    assert sweep.seconds_left(runs) == pytest.approx(60 * sum(minutes[2:]), rel=0.15)
    (other,) = sweep.plan(tmp_path, [("resnet50v2", 1)], 1, "epochs=3,steps_per_epoch=150")
    assert sweep.seconds_left([*runs[:2], other]) == pytest.approx(60 * 3.375)


def test_asked_to_stop_the_run_under_way_saves(stand_in):
    (run,) = sweep.plan(stand_in / "sweep", [("vgg16", 3)])
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
    assert not run.finished()
    assert not sweep.sweep([run], stand_in / "sweep", stand_in)
    assert run.finished()


@pytest.fixture
def swept(stand_in):
    root = stand_in / "sweep"
    models = itertools.product(["vgg16", "efficientnetb0"], [0, 2])
    runs = sweep.plan(root, models, 3, "image_size=48,data_dir=here,checkpoint_every_steps=9")
    sweep.sweep(runs, root, stand_in)
    return root


def test_the_board_ranks_and_averages(swept):
    rows = leaderboard.read(swept)
    assert len(rows) == 12
    assert [row.accuracy for row in rows] == sorted((r.accuracy for r in rows), reverse=True)
    assert {row.changes for row in rows} == {"image_size=48"}
    spreads = {spread.model: spread for spread in leaderboard.spreads(rows)}
    assert len(spreads) == 4
    values = [row.accuracy for row in rows if row.model == "vgg16:2"]
    assert spreads["vgg16:2"].mean == pytest.approx(statistics.fmean(values))
    assert spreads["vgg16:2"].deviation == pytest.approx(statistics.stdev(values))
    assert spreads["vgg16:2"].seeds == 3


def test_two_runs_of_one_seed_are_no_spread(swept):
    first, *rest = (row for row in leaderboard.read(swept) if row.model == "vgg16:2")
    twice = dataclasses.replace(first, name="moved", accuracy=first.accuracy - 0.1)
    assert leaderboard.spreads([first, twice]) == []
    (spread,) = leaderboard.spreads([first, twice, *rest])
    assert spread.seeds == 3
    values = [first.accuracy - 0.05, *(row.accuracy for row in rest)]
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.deviation == pytest.approx(statistics.stdev(values))


def test_a_rows_command_is_its_configuration(swept):
    for row in leaderboard.read(swept):
        *_, arg, flag, workdir = shlex.split(row.command)
        _, _, arg = arg.partition(":")
        (again,) = sweep.plan(swept, [(row.arch, row.variant)], 1, arg.partition(",")[2])
        assert again.name == row.name
        assert again.finished()
        assert (flag, workdir) == ("--workdir", str(again.workdir))


def test_pasted_into_a_shell_a_command_finds_its_run(tmp_path):
    """Whatever is in the names: here it gets as far as to miss the checkpoints in that folder."""
    root, weights = tmp_path / "a run's $HOME; `x`", tmp_path / "b & c, d=(1).h5"
    weights.touch()
    config = make_config("vgg16", "2,image_size=32,seed=7").to_dict()
    config |= {"weights": str(weights), "source": "x,y: z", "learning_rate": 3e-7}
    (root / "run").mkdir(parents=True)
    (root / "run" / "summary.json").write_text(json.dumps({
        "arch": "vgg16", "variant": 2, "seed": 7, "config": config, "val_accuracy": 0.5,
        "val_accuracy_interval": [0.4, 0.6], "val_macro_f1": 0.4, "majority_baseline": 0.25,
        "train_accuracy": 0.6, "best_epoch": 2, "epochs_run": 3, "seconds": 9,
        "params_trainable": 1,
    }))  # fmt: skip
    (row,) = leaderboard.read(root)
    assert settings.split(row.changes) == [
        "image_size=32", "learning_rate=3e-07", f"weights={weights}"
    ]  # fmt: skip
    process = subprocess.run(
        ["bash", "-c", f"{row.command} --mode=evaluate"],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    message = f"faceemo: error: expected a trained run in {root / 'run'}; found none"
    assert process.stderr.startswith(message), process.stderr
    found = [arg for arg in shlex.split(row.command) if arg.startswith("--config.")]
    assert found == ["--config.source=x,y: z", f"--config.weights={weights}"]


def test_csv_and_page_hold_every_run_and_escape_what_they_say(swept):
    rows = leaderboard.read(swept)
    page = leaderboard.write(swept, rows, {"vgg16-9": "<i>no</i>"})
    with page.with_suffix(".csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["name"] for row in found] == [row.name for row in rows]
    assert [float(row["accuracy"]) for row in found] == [row.accuracy for row in rows]
    assert list(found[0]) == [field.name for field in dataclasses.fields(leaderboard.Row)]
    text = page.read_text()
    assert text.count("<tr") == 1 + 12 + 1 + 4
    assert "<b>odd</b>" not in text
    assert text.count("epoch 1: &lt;b&gt;odd&lt;/b&gt;") == 6, "each as text, below the table"
    assert text.count('href="#warnings"') == 6
    for row in rows:
        label = f"<dt><b>{row.model}</b>, seed {row.seed}</dt>"
        assert f"{label}<dd><code>{html.escape(row.command, quote=False)}</code></dd>" in text
    assert "&lt;i&gt;no&lt;/i&gt;" in text
    assert "all with <code>image_size=48</code>" in text
    assert "<small" not in text  # no row has anything of its own
    lines = leaderboard.table(rows).splitlines()
    assert lines[:2] == ["all with image_size=48", ""]
    assert len(lines) == 2 + 1 + 12 + 4 + (1 + 6) + (2 + 12)
    for row, line in zip(rows, lines[3:15], strict=True):
        assert line.split()[: 1 + (row.variant == 2)] == [row.model, "!"][: 1 + (row.variant == 2)]
    warned = [row for row in rows if row.warnings]
    assert lines[20:26] == [f"! {r.model}, seed {r.seed}: epoch 1: <b>odd</b>" for r in warned]
    assert lines[28:] == [row.command for row in rows]


def test_what_a_row_alone_changes_stays_with_it(swept):
    texts = ("image_size=48,policy=strict", "image_size=48", "dtype=bfloat16,image_size=48")
    rows = [
        dataclasses.replace(row, changes=text)
        for row, text in zip(leaderboard.read(swept), texts, strict=False)
    ]
    shared, told = leaderboard.told_once(rows)
    assert shared == "image_size=48"
    assert [row.changes for row in told] == ["policy=strict", "", "dtype=bfloat16"]
    assert [row.name for row in told] == [row.name for row in rows]
    assert leaderboard.told_once([dataclasses.replace(row, changes="") for row in rows])[0] == ""


def test_no_runs_is_said(tmp_path):
    with pytest.raises(UserError, match="finished runs"):
        leaderboard.read(tmp_path)


@pytest.mark.parametrize("text", ["12", "7-", "x", "-3", "3-0"])
def test_the_script_refuses_what_is_no_variant(text, tmp_path):
    process = subprocess.run(
        [sys.executable, "scripts/sweep.py", f"--variants={text}", "--root", str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr.startswith("faceemo: error: expected")
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in process.stderr

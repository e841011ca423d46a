"""Tests that the leaderboard of a sweep ranks the finished runs and averages over seeds."""

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
from pathlib import Path

import pytest

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import leaderboard, run_settings, sweep
from tests.support.places import REPOSITORY
from tests.support.stand_in import replace_training


@pytest.fixture
def swept(monkeypatch, tmp_path):
    replace_training(monkeypatch, tmp_path)
    root = tmp_path / "sweep"
    models = itertools.product(["vgg16", "efficientnetb0"], [0, 2])
    runs = sweep.plan_runs(root, models, 3, "image_size=48,data_dir=here,checkpoint_every_steps=9")
    sweep.train_runs(runs, root, tmp_path)
    return root


def test_the_board_ranks_and_averages(swept):
    rows = leaderboard.read_rows(swept)
    assert len(rows) == 12
    assert [row.accuracy for row in rows] == sorted((r.accuracy for r in rows), reverse=True)
    assert {row.changes for row in rows} == {"image_size=48"}
    seed_statistics = {each.model: each for each in leaderboard.compute_seed_statistics(rows)}
    assert len(seed_statistics) == 4
    values = [row.accuracy for row in rows if row.model == "vgg16:2"]
    assert seed_statistics["vgg16:2"].mean == pytest.approx(statistics.fmean(values))
    assert seed_statistics["vgg16:2"].deviation == pytest.approx(statistics.stdev(values))
    assert seed_statistics["vgg16:2"].seeds == 3


def test_two_runs_of_one_seed_count_as_one(swept):
    first, *rest = (row for row in leaderboard.read_rows(swept) if row.model == "vgg16:2")
    twice = dataclasses.replace(first, name="moved", accuracy=first.accuracy - 0.1)
    assert leaderboard.compute_seed_statistics([first, twice]) == []
    (found,) = leaderboard.compute_seed_statistics([first, twice, *rest])
    assert found.seeds == 3
    values = [first.accuracy - 0.05, *(row.accuracy for row in rest)]
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values))


def test_a_rows_command_has_its_configuration(swept):
    for row in leaderboard.read_rows(swept):
        *_, arg, flag, workdir = shlex.split(row.command)
        _, _, arg = arg.partition(":")
        (again,) = sweep.plan_runs(swept, [(row.arch, row.variant)], 1, arg.partition(",")[2])
        assert again.name == row.name
        assert again.is_finished()
        assert (flag, workdir) == ("--workdir", str(again.workdir))


def test_a_command_pasted_into_a_shell_finds_its_run(tmp_path):
    """Names may contain anything. Here the command gets as far as missing the checkpoints."""
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
    (row,) = leaderboard.read_rows(root)
    assert run_settings.split_changes(row.changes) == [
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


def test_csv_and_page_contain_every_run_and_escape_its_text(swept):
    rows = leaderboard.read_rows(swept)
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
    assert "<small" not in text  # no row has settings of its own
    lines = leaderboard.format_table(rows).splitlines()
    assert lines[:2] == ["all with image_size=48", ""]
    assert len(lines) == 2 + 1 + 12 + 4 + (1 + 1) + (2 + 12)
    for row, line in zip(rows, lines[3:15], strict=True):
        assert line.split()[: 1 + (row.variant == 2)] == [row.model, "!"][: 1 + (row.variant == 2)]
    warned = [row for row in rows if row.warnings]
    labels = "; ".join(f"{row.model}, seed {row.seed}" for row in warned)
    assert lines[20] == f"! {labels}: epoch 1: <b>odd</b>"
    assert lines[23:] == [row.command for row in rows]


def test_equal_warnings_share_a_line(swept):
    first, second, *_ = leaderboard.read_rows(swept)
    first = dataclasses.replace(first, changes="", warnings="epoch 2: low; odd; origin: seen")
    second = dataclasses.replace(second, changes="", warnings="origin: seen")
    text = leaderboard.format_table([first, second])
    warned = [line for line in text.splitlines() if line.startswith("!")]
    assert warned == [f"! {first.label}: epoch 2: low; odd", "! all runs: origin: seen"]
    alone = leaderboard.format_table([second])
    assert f"! {second.label}: origin: seen" in alone.splitlines()


def test_changes_that_not_all_rows_share_stay_in_the_row(swept):
    texts = ("image_size=48,policy=strict", "image_size=48", "dtype=bfloat16,image_size=48")
    rows = [
        dataclasses.replace(row, changes=text)
        for row, text in zip(leaderboard.read_rows(swept), texts, strict=False)
    ]
    shared, remaining = leaderboard.extract_shared_changes(rows)
    assert shared == "image_size=48"
    assert [row.changes for row in remaining] == ["policy=strict", "", "dtype=bfloat16"]
    assert [row.name for row in remaining] == [row.name for row in rows]
    assert (
        leaderboard.extract_shared_changes([dataclasses.replace(row, changes="") for row in rows])[
            0
        ]
        == ""
    )


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="finished runs"):
        leaderboard.read_rows(tmp_path)

"""Tests that the leaderboard of a sweep ranks the finished runs and averages over seeds."""

import csv
import dataclasses
import html
import itertools
import json
import shlex
import statistics
import subprocess

import pytest
from scipy import stats

from faceemo.commands import targets, train
from faceemo.commands.field_options import given_fields
from faceemo.commands.parser import Parser
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.experiments import leaderboard, leaderboard_warnings, run_settings, sweep
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
    found = seed_statistics["vgg16:2"].accuracy
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values))
    assert found.seeds == 3
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    shown = f"95% t interval of 3 seeds {oracle.low:.3f} to {oracle.high:.3f}"
    assert shown in leaderboard.format_table(rows)
    assert shown in leaderboard.write(swept, rows, {}).read_text()


def test_equal_seeds_and_tied_runs_have_neither_interval_nor_winner(swept):
    rows = [
        dataclasses.replace(row, accuracy=0.448)
        for row in leaderboard.read_rows(swept)
        if row.model == "vgg16:0"
    ]
    table, page = leaderboard.format_table(rows), leaderboard.write(swept, rows, {}).read_text()
    for text in (table, page):
        assert "no interval: 3 seeds gave the same value" in text
        assert "t interval of" not in text
        assert "the winner" in text
    assert "3 runs tie for the highest accuracy" in table
    assert "3 runs have the highest accuracy, 0.4480" in page
    assert 'class="best"' not in page
    rows[0] = dataclasses.replace(rows[0], accuracy=0.449)
    assert "winner" not in leaderboard.format_table(rows)
    page = leaderboard.write(swept, rows, {}).read_text()
    assert "winner" not in page
    assert page.count('<tr class="best">') == 1


def test_two_runs_of_one_seed_count_as_one(swept):
    first, *rest = (row for row in leaderboard.read_rows(swept) if row.model == "vgg16:2")
    twice = dataclasses.replace(first, name="moved", accuracy=first.accuracy - 0.1)
    assert leaderboard.compute_seed_statistics([first, twice]) == []
    (found,) = leaderboard.compute_seed_statistics([first, twice, *rest])
    assert found.accuracy.seeds == 3
    values = [first.accuracy - 0.05, *(row.accuracy for row in rest)]
    assert found.accuracy.mean == pytest.approx(statistics.fmean(values))
    assert found.accuracy.deviation == pytest.approx(statistics.stdev(values))


def test_a_rows_command_has_its_configuration(swept):
    for row in leaderboard.read_rows(swept):
        *_, arg, flag, workdir = shlex.split(row.command)
        _, _, arg = arg.partition(":")
        (again,) = sweep.plan_runs(swept, [(row.arch, row.variant)], 1, arg.partition(",")[2])
        assert again.name == row.name
        assert again.is_finished()
        assert (flag, workdir) == ("--workdir", str(again.workdir))


def test_a_command_pasted_into_a_shell_gives_the_run_again(tmp_path):
    """Names may contain anything. Bash splits the command, and the command line parses it."""
    root, weights = tmp_path / "a run's $HOME; `x`", tmp_path / "b & c, d=(1).h5"
    weights.touch()
    config = make_config("vgg16", "2,image_size=32,seed=7").to_dict()
    config |= {"weights": str(weights), "source": "x,y: z", "learning_rate": 3e-7}
    config |= {"data_dir": "a,b"}
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
    split = subprocess.run(
        ["bash", "-c", f"faceemo() {{ printf '%s\\0' \"$@\"; }}; {row.command}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    name, *words = split.stdout.split("\0")[:-1]
    assert name == "train"
    (command,) = (each for each in train.COMMANDS if each.name == "train")
    parser = Parser()
    command.add_arguments(parser)
    options = parser.parse_args(words)
    target = targets.resolve(options.target, given_fields(options), options.workdir)
    assert target.config.to_dict() == config
    assert target.workdir == root / "run"


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
    assert text.count("<dd>&lt;b&gt;odd&lt;/b&gt;</dd>") == 1, "as text, below the table"
    assert text.count('href="#warnings"') == 6
    for row in rows:
        label = f"<dt><b>{row.model}</b>, seed {row.seed}</dt>"
        assert f"{label}<dd><code>{html.escape(row.command, quote=False)}</code></dd>" in text
    assert "&lt;i&gt;no&lt;/i&gt;" in text
    assert "all with <code>image_size=48</code>" in text
    assert "<small" not in text  # no row has settings of its own
    lines = leaderboard.format_table(rows).splitlines()
    assert lines[:2] == ["all with image_size=48", ""]
    assert len(lines) == 2 + 1 + 12 + 1 + (1 + 4) + (1 + 1) + (2 + 12)
    for row, line in zip(rows, lines[3:15], strict=True):
        assert line.split()[: 1 + (row.variant == 2)] == [row.model, "!"][: 1 + (row.variant == 2)]
    assert lines[2].split("  ")[-3:] == ["best epoch", "training min", "trained parameters"]
    assert {tuple(line.split()[-5:-1]) for line in lines[3:15]} == {("2", "of", "3", "1.5")}
    assert lines[15].startswith("training min: the training steps alone")
    assert lines[16].startswith("2 runs tie")
    warned = [row for row in rows if row.warnings]
    labels = "; ".join(f"{row.model}, seed {row.seed} (epoch 1)" for row in warned)
    assert lines[22] == f"! {labels}: <b>odd</b>"
    assert f"<dt><b>{labels}</b></dt>" in text
    assert lines[25:] == [row.command for row in rows]


def test_equal_warnings_share_a_line(swept):
    first, second, *_ = leaderboard.read_rows(swept)
    first = dataclasses.replace(first, changes="", warnings="epoch 2: low; odd; origin: seen")
    second = dataclasses.replace(second, changes="", warnings="origin: seen")
    text = leaderboard.format_table([first, second])
    warned = [line for line in text.splitlines() if line.startswith("!")]
    assert warned == [f"! {first.label} (epoch 2): low; odd", "! all runs: seen"]
    alone = leaderboard.format_table([second])
    assert f"! {second.label}: seen" in alone.splitlines()


def test_a_warning_of_several_epochs_is_shown_once():
    """Collapses differ in their numbers from epoch to epoch, but are one warning."""
    collapses = {f"epoch {n}": f"collapsed: 9{n}% are 'happy'; fix: x" for n in (1, 2, 5)}
    runs = [leaderboard_warnings.join(collapses), leaderboard_warnings.join({"epoch 1": "broke"})]
    collapsed, broke = leaderboard_warnings.group(["a", "b"], runs)
    assert collapsed.text == "collapsed: 91% are 'happy'; fix: x"
    assert collapsed.runs == ("a (epochs 1, 2 and 5)",)
    assert (collapsed.varies, broke.varies) == (True, False)
    assert broke.runs == ("b (epoch 1)",)
    (both,) = leaderboard_warnings.group(["a", "a"], [runs[0], runs[0]])
    assert both.runs == ("all runs (epochs 1, 2 and 5)",)
    # as summaries have it in which the first warning names the other epochs
    also = [leaderboard_warnings.join({"epoch 1": f"collapsed: 91% are 'happy'; fix: x{end}"})
            for end in (" (also in epochs 2, 5)", " (also in epoch 3)", "")]  # fmt: skip
    (collapsed,) = leaderboard_warnings.group(["a", "b", "c"], also)
    assert collapsed.runs == ("a (epochs 1, 2 and 5)", "b (epochs 1 and 3)", "c (epoch 1)")
    assert not collapsed.varies
    other = leaderboard_warnings.join({"epoch 1": "collapsed: 99% are 'sad'; fix: x"})
    assert len(leaderboard_warnings.group(["a", "b"], [runs[0], other])) == 2


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

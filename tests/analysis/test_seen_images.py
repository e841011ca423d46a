"""Scores on seen and unseen images against counts by hand, and the command from end to end."""

import subprocess
import sys

import pytest
from scipy import stats

from faceemo.analysis import seen_images
from faceemo.data.ledger import ledger
from faceemo.errors import UserError
from tests.support.data.rows import row
from tests.support.places import SCRIPTS

SCRIPT = SCRIPTS / "audit_foreign.py"
HEADER = "path,label,predicted,happy,neutral,sad,surprise\n"


def predictions():
    """Makes 100 seen images, 90 right; 50 unseen, 30 right; 2 with a seen twin, 1 right."""
    predicted, seen = {}, {}
    for number in range(152):
        group = "seen" if number < 100 else "unseen" if number < 150 else "twin seen"
        right = number < 90 or 100 <= number < 130 or number == 150
        label = "sad" if number % 2 else "happy"
        other = "happy" if number % 2 else "sad"
        path = f"validation/{label}/{number}.jpg"
        predicted[path] = (label, label if right else other)
        seen[path] = group
    return predicted, seen


def test_scores_of_each_group():
    found = seen_images.score_groups(*predictions())
    assert {group: (score.right, score.images) for group, score in found.items()} == {
        "all": (121, 152),
        "seen": (90, 100),
        "twin seen": (1, 2),
        "unseen": (30, 50),
    }
    interval = stats.binomtest(90, 100).proportion_ci(method="wilson")
    assert found["seen"].interval == pytest.approx(tuple(interval))
    assert found["seen"].macro_f1 == pytest.approx(0.9, abs=1e-3)  # 5 of each class are wrong


def test_empty_groups_are_left_out_and_unknown_images_refused():
    predicted, seen = predictions()
    assert list(seen_images.score_groups(predicted, dict.fromkeys(seen, "unseen"))) == [
        "all",
        "unseen",
    ]
    with pytest.raises(UserError, match="--data-dir"):
        seen_images.score_groups(predicted, {})


def run(*options):
    command = [sys.executable, SCRIPT, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_command_prints_scores_of_seen_and_unseen_images(tmp_path):
    predicted, _ = predictions()
    ledger.write(tmp_path, [row(path) for path in predicted])
    table = tmp_path / "predictions.csv"
    lines = [f"{path},{label},{other},1,0,0,0\n" for path, (label, other) in predicted.items()]
    table.write_text(HEADER + "".join(lines))
    done = run("--data_dir", tmp_path, "--rows", "0-99", "--predictions", table)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["validation", "100", "0", "52"] in lines
    assert ["seen", "100", "0.900", "0.826", "to", "0.945", "0.900"] in lines
    assert "seen minus unseen images: +30.4 points" in done.stdout
    wrong = run("--data_dir", tmp_path, "--rows", "9-0")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)

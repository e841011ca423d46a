"""Scores on seen and unseen images against counts made by hand; the command from end to end."""

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
    """100 seen images, 90 right; 50 unseen, 30 right; 2 twins, 1 right."""
    answers, seen = {}, {}
    for number in range(152):
        group = "seen" if number < 100 else "unseen" if number < 150 else "twin seen"
        right = number < 90 or 100 <= number < 130 or number == 150
        label = "sad" if number % 2 else "happy"
        other = "happy" if number % 2 else "sad"
        path = f"validation/{label}/{number}.jpg"
        answers[path] = (label, label if right else other)
        seen[path] = group
    return answers, seen


def test_scores():
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


def test_empty_groups_are_left_out_and_unknown_images_told():
    answers, seen = predictions()
    assert list(seen_images.score_groups(answers, dict.fromkeys(seen, "unseen"))) == [
        "all",
        "unseen",
    ]
    with pytest.raises(UserError, match="--data_dir"):
        seen_images.score_groups(answers, {})


def run(*options):
    command = [sys.executable, SCRIPT, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command(tmp_path):
    answers, _ = predictions()
    ledger.write(tmp_path, [row(path) for path in answers])
    table = tmp_path / "predictions.csv"
    lines = [f"{path},{label},{answer},1,0,0,0\n" for path, (label, answer) in answers.items()]
    table.write_text(HEADER + "".join(lines))
    done = run("--data_dir", tmp_path, "--rows", "0-99", "--predictions", table)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["validation", "100", "0", "52"] in lines
    assert ["seen", "100", "0.900", "0.826", "to", "0.945", "0.900"] in lines
    assert "seen minus unseen images: +30.4 points" in done.stdout
    wrong = run("--data_dir", tmp_path, "--rows", "9-0")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)

"""Checks the text tables of the preparation, and the command that prints the ledger."""

import subprocess
import sys

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.prepare import tables
from tests.support.data.rows import row
from tests.support.places import SCRIPTS

SCRIPT = SCRIPTS / "show_ledger.py"
ROWS = [
    row("train/sad/7.jpg", blank=0.25, face_confidence=0.987654321),
    row("test/sad/8.jpg", blank=0.25, face_confidence=0.987654321, leaks=("train", "validation")),
    row(
        "train/happy/\x1b[31m9.jpg",
        blank=0.5,
        face_confidence=0.987654321,
        similar=(
            ledger.Likeness(
                pixels_sha256="ef", path="a/b/c.jpg", distance=2, similarity=0.75, mirrored=True
            ),
        ),
        fate=ledger.DUPLICATE,
        reason="same dHash as train/happy/3.jpg, which is kept",
    ),
    row("train/sad/x.jpg", face_confidence=0.987654321, fate=ledger.UNREADABLE),
]


def test_the_ledgers_table_has_a_line_per_image_and_counts():
    lines = tables.format_ledger(ROWS).splitlines()
    assert lines[0].split() == list(tables.LEDGER_COLUMNS)
    assert lines[1].split() == ["train/sad/7.jpg", "kept", "0.9877", "0.25", *["-"] * 4]
    assert "train validation" in lines[2]
    assert lines[3].endswith("same dHash as train/happy/3.jpg, which is kept")
    assert lines[-1] == "4 images: 2 kept, 1 unreadable, 1 duplicate"
    starts = {line.index(fate) for line, fate in zip(lines, ["fate", "kept", "kept"], strict=False)}
    assert len(starts) == 1  # aligned


def test_control_characters_in_paths_do_not_reach_the_terminal():
    assert "\x1b" not in tables.format_ledger(ROWS)


def test_rows_can_be_sorted_and_limited_and_columns_chosen():
    lines = tables.format_ledger(ROWS, ("path", "similar"), "blank", 2).splitlines()
    assert lines[1].endswith("a/b/c.jpg (2 bits, 0.75, mirrored)")
    assert lines[2].startswith("train/sad/7.jpg")
    assert lines[3:] == ["4 images: 2 kept, 1 unreadable, 1 duplicate; the first 2 are shown"]
    everything = tables.format_ledger(ROWS, ("path",), "blank").splitlines()
    assert everything[4] == "train/sad/x.jpg"  # last, as it has no value to sort by
    assert tables.format_ledger([]).splitlines()[-1] == "0 images"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], 4),
        (["--fate", "kept"], 2),
        (["--fate", "no face"], 0),
        (["--sort", "label-score", "--columns", "face-confidence"], 4),
        (["--label", "happy"], 1),
        (["--split", "test"], 1),
        (["--leaks", "validation"], 1),
        (["--path", "sad/7"], 1),
    ],
)
def test_the_command_filters_rows(tmp_path, options, shown):
    ledger.write(tmp_path, ROWS)
    command = [sys.executable, SCRIPT, "--data_dir", tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{shown} image")


def test_the_command_reports_a_missing_ledger_in_one_line(tmp_path):
    command = [sys.executable, SCRIPT, "--data_dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "faceemo prepare" in done.stderr


def test_the_leaks_table_lists_only_pairs_of_splits_with_leaks():
    some = {"near": {"happy": 1, "sad": 1200}}
    none = {"near": {"happy": 0, "sad": 0}}
    before = {"validation in train": some, "test in train": none}
    after = dict.fromkeys(before, none)
    lines = tables.format_leaks(before, after).splitlines()
    assert lines[0].split() == ["validation", "in", "train", "happy", "sad", "all"]
    assert lines[1].split() == ["near", "before", "1", "1,200", "1,201"]
    assert lines[2].split() == ["after", "0", "0", "0"]
    assert lines[3:] == ["  test in train: none, by any measure"]


def test_published_counts_add_up():
    """Compares with the totals that the original project states (SPEC section 2)."""
    totals = {
        stage: sum(sum(labels.values()) for labels in splits.values())
        for stage, splits in tables.PUBLISHED_COUNTS.items()
    }
    assert totals == {"unpack": 20_214, "screen": 19_984, "dedupe": 19_137}


@pytest.mark.parametrize(("share", "shown"), [(1, True), (0.98, True), (0.05, False), (2, False)])
def test_published_counts_stand_beside_as_many_images_of_the_same_classes(share, shown):
    """Images of one's own, and the drawn sample, have nothing to do with them."""
    counts = {
        split: {label: int(share * count) for label, count in labels.items()}
        for split, labels in tables.PUBLISHED_COUNTS["unpack"].items()
    }
    assert ("original" in tables.format_counts("unpack", counts)) == shown
    own = {"train": counts["train"], "validation": counts["validation"], "test": {}}
    assert "original" not in tables.format_counts("unpack", own)
    renamed = {split: {"calm": 1, **labels} for split, labels in counts.items()}
    assert "original" not in tables.format_counts("unpack", renamed)

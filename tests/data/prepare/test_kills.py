"""Checks that a preparation that is killed or runs twice at once gives the usual results."""

import signal
from pathlib import Path

import numpy as np
import pytest

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import prepare
from tests.support.data import killed
from tests.support.data.planted import (
    NUM_DECODABLE,
    PLANTED,
    RULES,
    make_image,
    read_results,
    write_zip,
)

pytestmark = pytest.mark.slow


def test_a_run_after_a_kill_at_any_point_gives_the_usual_results(
    prepared, tmp_path, detector, no_pictures
):
    """Kills runs with SIGKILL at random changes of the disk; the next run repairs them."""
    expected = read_results(prepared)
    changes, _ = killed.run("prepare", [(write_zip(tmp_path / "whole"), killed.NEVER)])
    changes = int(changes.split()[-1])
    assert changes > 100
    points = np.random.default_rng(8).choice(np.arange(2, changes + 1), 20, replace=False)
    roots = {after: write_zip(tmp_path / f"killed{after}") for after in (1, *points.tolist())}
    ends = killed.run("prepare", [(root, after) for after, root in roots.items()])
    assert ends == [f"ended {-signal.SIGKILL}"] * len(roots)
    for root in roots.values():
        detector.num_images = 0
        saved = measure.Store(root).measurements
        prepare.prepare(root, RULES)
        assert read_results(root) == expected
        assert (root / measure.NAME).read_bytes() == (prepared / measure.NAME).read_bytes()
        assert not [path for path in root.rglob(".*") if path.name != ".lock"]
        # images that were measured before the kill are not measured again
        assert detector.num_images == NUM_DECODABLE - sum(
            not facts.problem for facts in saved.values()
        )


class Killed(BaseException):
    """Ends a run almost like a kill: no `except Exception` catches it."""


@pytest.mark.parametrize("change", ["threshold", "zip"])
def test_a_kill_while_results_are_replaced_does_no_harm(
    prepared, tmp_path, detector, no_pictures, monkeypatch, change
):
    """Stops before each rename of a second run, which replaces the results of the first."""
    rules = Rules(policy="original", face_threshold=0.2 if change == "threshold" else 0.5)
    changed = PLANTED | {"train/sad/11.png": (make_image(4321), ledger.KEPT)}

    def disturb(root):
        if change == "zip":
            write_zip(root, changed)

    fresh = tmp_path / "fresh"
    write_zip(fresh, changed if change == "zip" else PLANTED)
    prepare.prepare(fresh, rules)
    expected = read_results(fresh)
    replace = Path.replace
    after = 0
    for after in range(100):
        root = write_zip(tmp_path / f"redone{after}")
        prepare.prepare(root, RULES)
        disturb(root)
        renames = iter(range(100))

        def failing(self, target, renames=renames, after=after):
            if next(renames) == after:
                raise Killed
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", failing)
        try:
            prepare.prepare(root, rules)
        except Killed:
            monkeypatch.setattr(Path, "replace", replace)
            prepare.prepare(root, rules)
            assert read_results(root) == expected
        else:
            monkeypatch.setattr(Path, "replace", replace)
            assert read_results(root) == expected
            break
    assert after > 6


def test_of_two_preparations_at_once_one_waits(tmp_path):
    """Prepares the same folder in two processes, as in training on two hosts."""
    root = write_zip(tmp_path / "root")
    both = [killed.start("prepare", [(root, killed.NEVER)]) for _ in range(2)]
    words = sorted((process.communicate(timeout=120)[0] for process in both), key=len)
    assert [text.splitlines()[-1] for text in words] == ["ended 0", "ended 0"]
    assert [text.count("nothing to do") for text in words] == [3, 0]

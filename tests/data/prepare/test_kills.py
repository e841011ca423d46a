"""A preparation that is killed, or run twice at once, ends as if nothing had been."""

import signal
from pathlib import Path

import numpy as np
import pytest

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import prepare
from tests.support.data import killed
from tests.support.data.planted import LOOKS, PICTURES, picture, state, write_zip


@pytest.mark.slow
def test_a_kill_at_any_point_does_no_harm(done, tmp_path, detector, no_pictures):
    """SIGKILL at one of the changes that a run makes to the disk; the next run mends it."""
    wanted = state(done)
    changes, _ = killed.run("prepare", [(write_zip(tmp_path / "whole"), killed.NEVER)])
    changes = int(changes.split()[-1])
    assert changes > 100
    points = np.random.default_rng(8).choice(np.arange(2, changes + 1), 20, replace=False)
    roots = {after: write_zip(tmp_path / f"killed{after}") for after in (1, *points.tolist())}
    ends = killed.run("prepare", [(root, after) for after, root in roots.items()])
    assert ends == [f"ended {-signal.SIGKILL}"] * len(roots)
    for root in roots.values():
        detector.seen = 0
        saved = measure.Store(root).measurements
        prepare.prepare(root)
        assert state(root) == wanted
        assert (root / measure.NAME).read_bytes() == (done / measure.NAME).read_bytes()
        assert not [path for path in root.rglob(".*") if path.name != ".lock"]
        # what was measured before the kill is not measured again
        assert detector.seen == LOOKS - sum(not facts.problem for facts in saved.values())


class Killed(BaseException):
    """Ends a run as a kill would; the tidying that it meets is switched off."""


@pytest.mark.parametrize("change", ["threshold", "zip"])
def test_a_kill_while_redoing_does_no_harm(
    done, tmp_path, detector, no_pictures, monkeypatch, change
):
    """Stops before every rename of a second run, which replaces the results of the first."""
    rules = Rules(face_threshold=0.2 if change == "threshold" else 0.5)
    changed = PICTURES | {"train/sad/11.png": (picture(4321), ledger.KEPT)}

    def disturb(root):
        if change == "zip":
            write_zip(root, changed)

    fresh = tmp_path / "fresh"
    write_zip(fresh, changed if change == "zip" else PICTURES)
    prepare.prepare(fresh, rules)
    wanted = state(fresh)
    replace = Path.replace
    after = 0
    for after in range(100):
        root = write_zip(tmp_path / f"redone{after}")
        prepare.prepare(root)
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
            assert state(root) == wanted
        else:
            monkeypatch.setattr(Path, "replace", replace)
            assert state(root) == wanted
            break
    assert after > 6


def test_two_at_once(tmp_path):
    """Two processes on the same folder, as in training on two hosts: one works, one waits."""
    root = write_zip(tmp_path / "root")
    both = [killed.start("prepare", [(root, killed.NEVER)]) for _ in range(2)]
    words = sorted((process.communicate(timeout=120)[0] for process in both), key=len)
    assert [text.splitlines()[-1] for text in words] == ["ended 0", "ended 0"]
    assert [text.count("nothing to do") for text in words] == [3, 0]

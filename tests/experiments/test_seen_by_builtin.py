"""The list of images that the network that comes with faceemo has probably learned."""

import csv
import types

from scipy import stats

from faceemo.assets import builtin
from faceemo.data.ledger.training_hashes import TrainingHashes
from faceemo.data.source import source_paths
from faceemo.experiments import run, seen_by_builtin
from faceemo.experiments.seen_by_builtin import Seen
from tests.support.data.rows import row

KNOWN = TrainingHashes.read(builtin.hashes_file(builtin.FOUR))
LEARNED = f"{int(KNOWN.hashes[7]):016x}"
# Alternate bits of the hash are flipped, 32 of 64: as far from any other as chance has it.
OTHER = f"{int(KNOWN.hashes[7]) ^ 0xAAAAAAAAAAAAAAAA:016x}"


def make_rows():
    return [
        row("validation/sad/1.png", dhash=LEARNED, dhash_mirrored=OTHER),
        row("validation/sad/2.png", dhash=OTHER, dhash_mirrored=OTHER),
        row("train/sad/3.png", dhash=LEARNED, dhash_mirrored=OTHER),
    ]


def recipe(train="f" * 64, **weights):
    return {"data": {"train": train}, "weights": {"source": "x", **weights}}


def test_images_that_builtin_learned_are_found_and_listed(tmp_path):
    scored = ["validation/sad/1.png", "validation/sad/2.png"]
    trained = {"trained": recipe(KNOWN.images)}
    for own in (recipe(KNOWN.images), recipe(**trained)):
        seen = seen_by_builtin.find_seen(own, make_rows(), scored)
        assert seen is not None
        assert [one.path for one in seen.rows] == ["validation/sad/1.png"]
    place = tmp_path / "run" / seen_by_builtin.NAME
    listed = {"path": "validation/sad/1.png", "split": "validation", "label": "sad"}
    paths = {"validation/sad/1.png": "unhappy/me.png"}
    for name in ("validation/sad/1.png", "unhappy/me.png"):
        seen_by_builtin.write_list(place, seen.rows, tmp_path)
        with place.open(newline="") as file:
            assert list(csv.DictReader(file)) == [listed | {"source_path": name}]
        source_paths.write(tmp_path, tmp_path / "mine", paths)
    said = seen.describe(place)
    assert said.startswith("1 of the 2 images that are scored (50.0%, 95% interval ")
    assert f"listed in {place}" in said


def test_the_share_is_compared_with_that_of_chance():
    """Chance makes 232 of 4,881 other faces resemble training images, 4.75%."""
    (found, *_) = make_rows()
    may_be, fix = "the interval includes 4.8%", "Fix: remove these files from your images"
    verdicts = {(1, 48): may_be, (5, 48): may_be, (60, 1000): may_be, (6, 48): fix,
                (61, 1000): fix, (48, 48): fix, (5, 1000): "this is less"}  # fmt: skip
    for (seen, images), verdict in verdicts.items():
        low = stats.binomtest(seen, images).proportion_ci(method="wilson").low
        assert (low > 232 / 4881) == (verdict == fix)
        one = Seen([found] * seen, images, 232 / 4881)
        assert verdict in one.describe("seen.csv")
        assert one.exceeds_chance() == (verdict == fix)
    assert "(10.4%, 95% interval 4.5% to 22.2%)" in Seen([found] * 5, 48, 0.05).describe()
    assert "none of the 48 images" in Seen([], 48, 0.05).describe()


def test_only_more_than_chance_is_a_warning_of_a_run(tmp_path, monkeypatch):
    """Scores two images, of which one, or none, resembles a training image of builtin."""
    monkeypatch.setattr(run.ledger, "read", lambda root: make_rows())
    learned = {"trained": recipe(KNOWN.images)}
    for paths, warns in ((["validation/sad/1.png"], True), (["validation/sad/2.png"], False)):
        empty = types.SimpleNamespace(paths=())
        splits = {"validation": types.SimpleNamespace(paths=paths), "test": empty}
        warning, note = run._list_seen("w", recipe(**learned), splits, tmp_path, tmp_path)
        assert (warning is not None, note is not None) == (warns, not warns)
        assert "this run learns from 'builtin': " in (warning or note or "")
        other = recipe(**learned) | {"teachers": [{"trained": recipe("a" * 64)}]}
        warning, note = run._list_seen("w", other, splits, tmp_path, tmp_path)
        assert ((warning or "")[:3], note) == ("w. ", None)


def test_builtin_is_the_only_origin_unless_another_run_is_behind_the_weights():
    learned, other = ({"trained": recipe(digest)} for digest in (KNOWN.images, "a" * 64))
    assert seen_by_builtin.is_only_origin(recipe(**learned))
    assert not seen_by_builtin.is_only_origin(recipe(**other))
    assert not seen_by_builtin.is_only_origin(recipe(**learned) | {"teachers": [other]})


def test_nothing_is_said_of_a_network_that_did_not_learn_from_builtin():
    assert seen_by_builtin.find_seen(recipe(), make_rows(), ["validation/sad/1.png"]) is None

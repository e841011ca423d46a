"""The whole preparation: what is missing is done, what is finished is not, kills do no harm."""

import dataclasses
import io
import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, dedupe, ledger, measure, pictures, prepare, screen, tables
from faceemo.data.rules import Rules
from faceemo.errors import UserError


def picture(seed, face=True, shade=0):
    """A random picture; the stand-in for the detector tells a face by its first pixel."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)
    pixels[0, 0] = 255 if face else 0
    pixels[40, 40] = shade  # other bytes, same dHash
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# By path: the content, and the fate that the rules give it.
PICTURES: dict[str, tuple[bytes, str]] = {
    f"{split}/{label}/{row}.png": (picture(1000 * s + 100 * c + row), ledger.KEPT)
    for s, split in enumerate(SPLITS)
    for c, label in enumerate(CLASSES)
    for row in (10, 20, 30)
} | {
    # inside one folder: 9 stands before 10, whatever the text order says
    "train/sad/9.png": (picture(210), ledger.KEPT),
    "train/sad/10.png": (picture(210, shade=1), ledger.DUPLICATE),
    # across train and validation: happy stays in train, sad in validation
    "validation/happy/40.png": (picture(10), ledger.DUPLICATE),
    "validation/sad/40.png": (picture(220, shade=1), ledger.KEPT),
    "train/sad/20.png": (picture(220), ledger.DUPLICATE),
    # two labels
    "train/neutral/50.png": (picture(7), ledger.CONFLICT),
    "validation/surprise/50.png": (picture(7), ledger.CONFLICT),
    # leaks into test: measured, not mended
    "test/happy/60.png": (picture(20), ledger.KEPT),
    "test/neutral/60.png": (picture(1110, shade=1), ledger.KEPT),
    # no face, one of them would be a duplicate
    "train/happy/70.png": (picture(30, face=False), ledger.NO_FACE),
    "test/sad/70.png": (picture(8, face=False), ledger.NO_FACE),
    "train/surprise/80.png": (picture(9)[:-500], ledger.UNREADABLE),
}

# Prepares each folder with the stand-in detector and dies at the given change of a file, in a
# process of its own; says how many changes there were, or what ended it.
KILLED = """
import os, pathlib, shutil, signal, sys
sys.path.insert(0, {here!r})
import test_prepare
from faceemo.data import measure, prepare, screen
left = 0
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
shutil.copyfile = counted(shutil.copyfile)
pathlib.Path.replace = counted(pathlib.Path.replace)
pathlib.Path.mkdir = counted(pathlib.Path.mkdir)
shutil.rmtree = counted(shutil.rmtree)
measure.Store.add = counted(measure.Store.add)
measure._BATCH = 4
screen.Detector = test_prepare.StandIn
test_prepare.draw_nothing()
for root, after in {runs!r}:
    child = os.fork()
    if not child:
        left = after
        prepare.prepare(pathlib.Path(root))
        print("changes", after - left, flush=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else -status, flush=True)
"""


class StandIn:
    """Sees a face where the first pixel is white."""

    workers = 2
    seen = 0

    def __init__(self, exact=False):
        self.side = 300 if exact else 96

    def look(self, images):
        StandIn.seen += len(images)
        return [
            screen.Detection(0.9, (4.0, 4.0, 40.0, 40.0), self.side)
            if image[0, 0, 0] == 255
            else screen.Detection(0.25, (4.0, 4.0, 40.0, 40.0))
            for image in images
        ]


# contents that can be decoded: what a first preparation looks at
LOOKS = len({content for content, fate in PICTURES.values() if fate != ledger.UNREADABLE})


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setattr(StandIn, "seen", 0)
    monkeypatch.setattr(screen, "Detector", StandIn)
    return StandIn


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes a second; where it does not matter, an empty file stands in."""
    monkeypatch.setattr(prepare, "_PICTURES", prepare._PICTURES)
    draw_nothing()


def draw_nothing():
    prepare._PICTURES = {
        stage: dict.fromkeys(names, lambda root, rows, rules, path: touch(path))
        for stage, names in prepare._PICTURES.items()
    }


def touch(path):
    with staging.file(path) as partial:
        partial.touch()


def write_zip(root, files=PICTURES):
    root.mkdir(exist_ok=True)
    with zipfile.ZipFile(root / archive.ZIP, "w") as target:
        for name, (content, _) in files.items():
            # a date of its own would change the zip's hash
            target.writestr(zipfile.ZipInfo(f"{archive.FOLDER}/{name}"), content)
    return root


def state(root):
    """Everything that preparation wrote, but for the pictures and what it remembers of files."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and path.name not in (".lock", measure.NAME, measure.NAME_EXACT)
        and path.parent.name != prepare.PICTURES
    }


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


@pytest.fixture
def done(tmp_path, detector, no_pictures):
    root = write_zip(tmp_path / "root")
    prepare.prepare(root)
    return root


def test_every_image_meets_its_fate(done):
    rows = {row.path: row for row in ledger.read(done)}
    assert {path: row.fate for path, row in rows.items()} == {
        path: fate for path, (_, fate) in PICTURES.items()
    }
    assert all(bool(row.reason) == (row.fate != ledger.KEPT) for row in rows.values())


def test_folders(done):
    def with_fate(*fates):
        return {path for path, (_, fate) in PICTURES.items() if fate in fates}

    high = with_fate(ledger.KEPT, ledger.DUPLICATE, ledger.CONFLICT)
    assert names(done / archive.FOLDER) == set(PICTURES)
    assert names(done / screen.FOLDER / screen.HIGH) == high
    assert names(done / screen.FOLDER / screen.LOW) == with_fate(ledger.NO_FACE)
    assert names(done / dedupe.FOLDER) == with_fate(ledger.KEPT)
    for folder in (archive.FOLDER, f"{screen.FOLDER}/{screen.HIGH}", dedupe.FOLDER):
        for path in names(done / folder):
            assert (done / folder / path).read_bytes() == PICTURES[path][0]
    visible = {path.name for path in done.iterdir() if path.name != ".lock"}
    assert visible == {
        archive.ZIP, archive.FOLDER, screen.FOLDER, dedupe.FOLDER, ledger.NAME, measure.NAME,
        prepare.RECORD, prepare.PICTURES,
    }  # fmt: skip


def test_leaks_are_measured(done):
    leaks = json.loads((done / prepare.RECORD).read_text())["dedupe"]["leaks"]

    def nonzero(when):
        return {
            (pair, sameness, label): count
            for pair, by_sameness in leaks[when].items()
            for sameness, by_label in by_sameness.items()
            for label, count in by_label.items()
            if count
        }

    test_leaks = {
        ("test in train", "same bytes", "happy"): 1,
        ("test in train", "same pixels", "happy"): 1,
        ("test in train", "same dHash", "happy"): 1,
        ("test in train", "any of these", "happy"): 1,
        ("test in validation", "same dHash", "neutral"): 1,
        ("test in validation", "near", "neutral"): 1,
        ("test in validation", "any of these", "neutral"): 1,
    }
    assert nonzero("after") == test_leaks
    kinds = ("same bytes", "same pixels", "same dHash", "any of these")
    assert nonzero("before") == test_leaks | {
        ("validation in train", kind, label): 1 for kind in kinds for label in ("happy", "surprise")
    } | {("validation in train", kind, "sad"): 1 for kind in ("same dHash", "near", "any of these")}


def test_says_what_it_did(tmp_path, detector, no_pictures, capsys):
    prepare.prepare(write_zip(tmp_path / "root"))
    words = capsys.readouterr().out
    assert "  train        here              4         4         4         4        16" in words
    assert "               original      3,914     3,841     3,782     2,643    14,180" in words
    assert "leaves the test split: test/sad/70.png (best face confidence 0.250" in words
    assert "screen: 43 kept, 2 no face, 1 unreadable;" in words
    assert "dedupe: 38 kept, 2 no face, 1 unreadable, 3 duplicate, 2 conflict;" in words
    assert words.count("; in ") == 4


def test_nothing_to_do(done, detector, capsys):
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    capsys.readouterr()
    prepare.prepare(done)
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before | {
        done / ".lock": (done / ".lock").stat().st_mtime_ns
    }
    assert detector.seen == LOOKS
    assert capsys.readouterr().out.count("nothing to do") == 3


def delete_tree(path):
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir()


def change_ledger(root, old, new):
    text = (root / ledger.NAME).read_text()
    assert old in text
    (root / ledger.NAME).write_text(text.replace(old, new))


def forget_fields(root):
    """As an older faceemo wrote it."""
    rows = [json.loads(line) for line in (root / ledger.NAME).read_text().splitlines()]
    old = [{name: row[name] for name in ("path", "sha256", "fate")} for row in rows]
    (root / ledger.NAME).write_text("".join(json.dumps(row) + "\n" for row in old))


def delete_both(root):
    (root / ledger.NAME).unlink()
    (root / measure.NAME).unlink()


# What the user may do to the results, and how many images the detector then has to see again.
DAMAGE = {
    "record gone": (lambda root: (root / prepare.RECORD).unlink(), 0),
    "ledger gone": (lambda root: (root / ledger.NAME).unlink(), 0),
    "ledger and memory gone": (delete_both, LOOKS),
    "ledger of an older version": (forget_fields, 0),
    "screened folder gone": (lambda root: delete_tree(root / screen.FOLDER), 0),
    "unique folder gone": (lambda root: delete_tree(root / dedupe.FOLDER), 0),
    "a screened image gone": (
        lambda root: (root / screen.FOLDER / screen.HIGH / "test/happy/10.png").unlink(),
        0,
    ),
    "a unique image gone": (lambda root: (root / dedupe.FOLDER / "test/happy/10.png").unlink(), 0),
    "an image slipped in": (
        lambda root: (root / dedupe.FOLDER / "test/happy/x.png").write_bytes(b"x"),
        0,
    ),
    "originals gone": (lambda root: delete_tree(root / archive.FOLDER), 0),
    "ledger edited": (lambda root: change_ledger(root, '"duplicate"', '"kept"'), 0),
    "groups edited": (
        lambda root: change_ledger(root, '"label_conflict": true', '"label_conflict": false'),
        0,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_only_what_is_missing_is_done_again(done, detector, damage):
    change, looks = DAMAGE[damage]
    before = state(done)
    remembered = (done / measure.NAME).read_bytes()
    change(done)
    assert state(done) != before
    prepare.prepare(done)
    assert state(done) == before
    assert (done / measure.NAME).read_bytes() == remembered
    assert detector.seen == LOOKS + looks


def no_pixels(*_):
    raise AssertionError("a pixel was touched")


def test_rules_are_replayed_without_pixels(done, detector, monkeypatch):
    """Any rules from the ledger alone, and back again: an undo is a replay."""
    before = state(done)
    monkeypatch.setattr(measure, "decode", no_pixels)
    monkeypatch.setattr(prepare, "read_grey", no_pixels)
    (done / measure.NAME).unlink()  # not needed either
    prepare.prepare(done, Rules(face_threshold=0.2))
    assert all(row.fate != ledger.NO_FACE for row in ledger.read(done))
    assert "train/happy/70.png" not in names(done / dedupe.FOLDER)  # now a duplicate
    prepare.prepare(done, Rules(policy="keep"))
    assert names(done / dedupe.FOLDER) == {
        path for path, (_, fate) in PICTURES.items() if fate != ledger.UNREADABLE
    }
    prepare.prepare(done, Rules(policy="strict", near_distance=0))
    # what leaks into test leaves the others
    assert "train/happy/20.png" not in names(done / dedupe.FOLDER)
    assert "validation/neutral/10.png" not in names(done / dedupe.FOLDER)
    prepare.prepare(done)
    assert state(done) == before
    assert detector.seen == LOOKS


def test_exact_screening_looks_at_what_was_settled_before(done, detector):
    before = state(done)
    settled = {row.sha256 for row in ledger.read(done) if row.face_side == 96}
    assert 0 < len(settled) < LOOKS
    prepare.prepare(done, exact=True)
    assert detector.seen == LOOKS + len(settled)
    assert {row.face_side for row in ledger.read(done)} == {300, None}
    exact = state(done)
    prepare.prepare(done, exact=True)
    prepare.prepare(done)
    assert state(done) == before  # what was exact once does not linger
    prepare.prepare(done, exact=True)
    assert state(done) == exact
    assert detector.seen == LOOKS + len(settled)


def test_a_threshold_beyond_what_was_checked_is_told(done, capsys):
    capsys.readouterr()
    prepare.prepare(done, Rules(face_threshold=0.4))
    assert "--exact" not in capsys.readouterr().out
    prepare.prepare(done, Rules(face_threshold=0.6))
    assert "for thresholds up to 0.5; --exact measures all at 300" in capsys.readouterr().out


def test_what_a_search_for_suspects_wrote_stays(done):
    suspect = "train/happy/20.png"
    rows = [
        dataclasses.replace(row, label_score=0.01, predicted_label="sad")
        if row.path == suspect
        else row
        for row in ledger.read(done)
    ]
    ledger.write(done, rows)
    before = state(done)
    prepare.prepare(done)
    assert state(done) == before
    prepare.prepare(done, Rules(suspect_below=0.1))
    assert suspect not in names(done / dedupe.FOLDER)
    write_zip(done, PICTURES | {"train/sad/11.png": (picture(4321), ledger.KEPT)})
    prepare.prepare(done)
    scores = {row.path: row.label_score for row in ledger.read(done)}
    assert scores.pop(suspect) == 0.01
    assert set(scores.values()) == {None}


def test_pictures_of_older_results_do_not_stay(done):
    for path in (done / prepare.PICTURES).iterdir():
        path.write_text("old")
    prepare.prepare(done)
    assert {path.read_text() for path in (done / prepare.PICTURES).iterdir()} == {"old"}
    prepare.prepare(done, Rules(face_threshold=0.2))
    assert {path.read_text() for path in (done / prepare.PICTURES).iterdir()} == {""}


def test_a_changed_zip_looks_at_new_images_only(done, detector):
    fewer = {path: what for path, what in PICTURES.items() if path != "train/sad/9.png"}
    write_zip(done, fewer | {"train/sad/11.png": (picture(4321), ledger.KEPT)})
    prepare.prepare(done)
    assert "train/sad/11.png" in names(done / dedupe.FOLDER)
    assert "train/sad/10.png" in names(done / dedupe.FOLDER)  # its duplicate is gone
    assert "train/sad/9.png" not in names(done)
    assert detector.seen == LOOKS + 1


def test_a_changed_image_in_the_own_folder_is_looked_at(done, detector):
    (done / archive.ZIP).unlink()
    prepare.prepare(done)
    assert detector.seen == LOOKS
    path = done / archive.FOLDER / "train/happy/20.png"
    faceless = picture(20, face=False)
    path.write_bytes(faceless)
    prepare.prepare(done)
    assert detector.seen == LOOKS + 1
    fates = {row.path: row.fate for row in ledger.read(done)}
    assert fates["train/happy/20.png"] == ledger.NO_FACE
    assert path.read_bytes() == faceless


def test_stages_one_by_one_end_the_same(done, tmp_path, detector):
    root = write_zip(tmp_path / "steps")
    assert prepare.prepare(root, last="unpack") == root / archive.FOLDER
    assert not (root / screen.FOLDER).exists()
    assert prepare.prepare(root, last="screen") == root / screen.FOLDER
    assert not (root / dedupe.FOLDER).exists()
    assert prepare.prepare(root) == root / dedupe.FOLDER
    assert state(root) == state(done)


@pytest.mark.parametrize("policy", ["original", "strict"])
def test_bytes_do_not_depend_on_the_order_of_files_or_on_workers(
    tmp_path, detector, no_pictures, monkeypatch, policy
):
    results = []
    for turn, workers in enumerate((1, 2, 5)):
        monkeypatch.setattr(detector, "workers", workers)
        monkeypatch.setattr(measure, "_BATCH", (3, 32, 1)[turn])
        names = np.random.default_rng(turn).permutation(list(PICTURES)).tolist()
        root = write_zip(tmp_path / f"{turn}", {name: PICTURES[name] for name in names})
        prepare.prepare(root, Rules(policy=policy))
        results.append({**state(root), measure.NAME: (root / measure.NAME).read_bytes()})
        del results[-1][archive.ZIP], results[-1][prepare.RECORD]  # hold the zip itself, its hash
    assert results[0] == results[1] == results[2]


def run_killed(runs):
    """Prepares each (root, after) and gives what its process said."""
    runs = [(str(root), after) for root, after in runs]
    code = KILLED.format(here=str(Path(__file__).parent), runs=runs)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return [line for line in run.stdout.splitlines() if line.startswith(("changes", "ended"))]


@pytest.mark.slow
def test_a_kill_at_any_point_does_no_harm(done, tmp_path, detector, no_pictures):
    """SIGKILL before one of the changes that a run makes to the disk; the next run mends it."""
    wanted = state(done)
    changes, _ = run_killed([(write_zip(tmp_path / "whole"), 10**6)])
    changes = int(changes.split()[-1])
    assert changes > 100
    points = np.random.default_rng(8).choice(np.arange(2, changes + 1), 20, replace=False)
    roots = {after: write_zip(tmp_path / f"killed{after}") for after in (1, *points.tolist())}
    ends = run_killed([(root, after) for after, root in roots.items()])
    assert ends == [f"ended {int(signal.SIGKILL)}"] * len(roots)
    for root in roots.values():
        detector.seen = 0
        saved = measure.Store(root).facts
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


def test_the_detector_is_looked_for_before_long_work(tmp_path, monkeypatch):
    def missing(exact):
        raise UserError(expected="the detector", found="no network", fix="copy it")

    monkeypatch.setattr(screen, "Detector", missing)
    root = write_zip(tmp_path / "root")
    with pytest.raises(UserError, match="no network"):
        prepare.prepare(root)
    assert not (root / archive.FOLDER).exists()
    prepare.prepare(root, last="unpack")  # needs none


def test_nothing_to_prepare(tmp_path):
    with pytest.raises(UserError, match="put the zip at"):
        prepare.prepare(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_record_is_told(done):
    (done / prepare.RECORD).write_text("{")
    with pytest.raises(UserError, match="JSON"):
        prepare.prepare(done)


def test_two_at_once(tmp_path):
    """Two processes on the same folder, as in training on two hosts: one works, one waits."""
    root = write_zip(tmp_path / "root")
    code = KILLED.format(here=str(Path(__file__).parent), runs=[(str(root), 10**6)])
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    words = sorted((process.communicate(timeout=120)[0] for process in both), key=len)
    assert [text.splitlines()[-1] for text in words] == ["ended 0", "ended 0"]
    assert [text.count("nothing to do") for text in words] == [3, 0]


def test_pictures(tmp_path, detector):
    """Drawn, large enough, and not blank; drawn again if deleted."""
    root = write_zip(tmp_path / "root")
    prepare.prepare(root)
    folder = root / prepare.PICTURES
    drawn = {"faces.png", "kept_and_left_out.png", "conflicting_labels.png", "leaks.png"}
    assert {path.name for path in folder.iterdir()} == drawn
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.width > 900
            assert len(np.unique(np.asarray(image.convert("L")))) > 50
    (folder / "faces.png").unlink()
    prepare.prepare(root)
    assert {path.name for path in folder.iterdir()} == drawn
    assert detector.seen == LOOKS


def test_samples_are_the_same_for_the_same_seed(done, tmp_path):
    images = archive.hashes(done / archive.FOLDER)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pictures.samples(done / archive.FOLDER, images, seed, tmp_path / f"{name}.png")
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_published_counts_add_up():
    """The totals that the original states, in SPEC section 2."""
    totals = {
        stage: sum(sum(labels.values()) for labels in splits.values())
        for stage, splits in tables.ORIGINAL.items()
    }
    assert totals == {"unpack": 20_214, "screen": 19_984, "dedupe": 19_137}


@pytest.mark.parametrize("script", ["explore_data", "detect_faces", "remove_duplicates"])
def test_scripts_answer_in_one_line(tmp_path, script):
    path = Path(__file__).parents[2] / "scripts" / f"{script}.py"
    run = subprocess.run(
        [sys.executable, path, "--data_dir", tmp_path], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert run.stderr.startswith("faceemo: error: expected the face images as")
    assert run.stderr.count("\n") == 1

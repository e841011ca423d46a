"""From the zip to the images that training sees: unpack, screen, de-duplicate.

Each stage is done once. It counts as finished when root/preparation.json records it with the
fingerprint of what it was made from and its output is still there; anything else (a new zip, a
changed image, another threshold, a stage that was interrupted) redoes it and the stages after it.
The originals are only ever read.
"""

import collections
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.data.ledger import leaks, ledger, near
from faceemo.data.ledger.judge import judge, judge_faces
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import KEEP, Rules
from faceemo.data.measure import face_detector, measure
from faceemo.data.measure.decode import read_grey
from faceemo.data.prepare import folders, leak_picture, pictures, tables
from faceemo.data.sample import planted_flaws
from faceemo.data.source import archive, sources
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError

RECORD = sources.RECORD
PICTURES = "pictures"
_FOLDERS = {"unpack": archive.FOLDER, "screen": folders.SCREENED, "dedupe": folders.UNIQUE}
STAGES = tuple(_FOLDERS)
_Draw = Callable[[Path, Sequence[Row], Rules, Path], None]


def _without_rules(draw: Callable[[Path, Sequence[Row], Path], None]) -> _Draw:
    return lambda root, rows, rules, path: draw(root, rows, path)


# Drawn when their stage is finished: {file: what draws it}.
_PICTURES: dict[str, dict[str, _Draw]] = {
    "screen": {"faces.png": _without_rules(pictures.faces)},
    "dedupe": {
        "kept_and_left_out.png": _without_rules(pictures.fates),
        "conflicting_labels.png": _without_rules(pictures.conflicts),
        "leaks.png": leak_picture.draw,
    },
}


def prepare(
    root: Path,
    rules: Rules | None = None,
    last: str = "dedupe",
    *,
    selection: Selection | None = None,
    exact: bool = False,
) -> Path:
    """Does what is missing up to the stage `last` and says what came of it.

    Args:
        root: the dataset's folder; the images are looked for in it (`sources.find`).
        rules: what is kept; the original's if None.
        last: 'unpack', 'screen' or 'dedupe'.
        selection: source, classes and splits to make; None: as before, at first the defaults.
        exact: whether the detector sees every image at 300 pixels, as the original's did; without,
            it settles most at smaller sides (`screen`), with the same fates at the threshold 0.5.

    Returns:
        The folder that `last` fills: for 'dedupe' root/unique_images, as <split>/<class>/<image>.

    Raises:
        UserError: if the images are missing, damaged or not laid out as they should be, or the
            detector cannot be had. The detector is looked for before any long work.
    """
    root = Path(root)
    rules = rules or Rules()
    archive.check_present(root, selection)
    with staging.locked(root):
        record = _Record(root)
        # before the first long stage, not after it
        new = last != "unpack" and not measure.Store(root, exact=exact).measurements
        detector = face_detector.Detector(exact=exact) if new else None
        originals = _unpack(root, record, selection)
        if last == "unpack":
            return originals.folder
        inputs = {
            "images": originals.fingerprint["images"],
            "detector": face_detector.detector_name(exact),
            "threshold": rules.face_threshold,
        }
        known = record.inputs("screen").get("detector") == inputs["detector"]
        rows, booked = _measure(root, originals, detector, exact, known)
        rows = _screen(root, record, inputs, rows, rules, booked)
        if last == "dedupe":
            _dedupe(root, record, rows, rules)
    return root / _FOLDERS[last]


class _Record:
    """root/preparation.json: the finished stages, what they were made from and their counts."""

    def __init__(self, root: Path):
        self._root = root
        self._path = root / RECORD
        self._stages: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            try:
                self._stages = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise UserError(
                    expected=f"JSON in {self._path}",
                    found=str(error),
                    fix="delete it: the preparation starts over, the originals stay",
                ) from error

    def __getitem__(self, stage: str) -> dict[str, Any]:
        return self._stages[stage]

    def has(self, stage: str) -> bool:
        """Whether `stage` was finished once and its output has not changed since."""
        folder = self._root / _FOLDERS[stage]
        output = self._stages.get(stage, {}).get("output")
        return output is not None and folder.is_dir() and output == _listing(folder)

    def inputs(self, stage: str) -> dict[str, Any]:
        """What the recorded run of `stage` was made from; empty if there was none."""
        return self._stages.get(stage, {}).get("inputs", {})

    def forget(self, stage: str) -> None:
        """Takes `stage` and those after it as undone, before any of their files change."""
        for later in STAGES[STAGES.index(stage) :]:
            self._stages.pop(later, None)
            for name in _PICTURES.get(later, {}):
                (self._root / PICTURES / name).unlink(missing_ok=True)
        self._write()

    def add(self, stage: str, **facts: Any) -> None:
        """Takes `stage` as finished."""
        self._stages[stage] = facts | {"output": _listing(self._root / _FOLDERS[stage])}
        self._write()

    def _write(self) -> None:
        with staging.file(self._path) as partial:
            partial.write_text(json.dumps(self._stages, indent=2) + "\n", encoding="utf-8")


def _unpack(root: Path, record: _Record, selection: Selection | None) -> archive.Originals:
    started = time.monotonic()
    originals = archive.ensure_originals(root, record.inputs("unpack"), selection)
    if record.inputs("unpack") == originals.fingerprint:
        print(f"unpack: nothing to do, {len(originals.images):,} images in {originals.folder}")
        return originals
    counts: dict[str, dict[str, int]] = {}
    for path in originals.images:
        split, label, _ = path.split("/")
        counts.setdefault(split, collections.Counter())[label] += 1
    about = {"notes": originals.notes, "left_out": originals.left_out}
    record.add("unpack", inputs=originals.fingerprint, counts=counts, **about)
    for note in originals.notes:
        print(f"unpack: {note}")
    print(f"\nImages in {originals.folder}\n{tables.counts_table('unpack', counts)}")
    what = "unpacked" if originals.unpacked else "found"
    _close("unpack", f"{len(originals.images):,} images {what}", originals.folder, started)
    return originals


def _measure(
    root: Path,
    originals: archive.Originals,
    detector: face_detector.Detector | None,
    exact: bool,
    known: bool,
) -> tuple[list[Row], bool]:
    """The rows of the originals with all their measured fields, and whether the ledger had them.

    The ledger's are taken if it is `known` what measured them. What a search for suspect labels
    has written stays with its image.
    """
    booked = _booked(root)
    if known and {row.path: row.sha256 for row in booked} == originals.images:
        return booked, True
    started = time.monotonic()
    store = measure.Store(root, exact=exact)
    if missing := set(originals.images.values()) - store.measurements.keys():
        detector = detector or face_detector.Detector(exact=exact)
        measure.measure_missing(originals.folder, originals.images, store, detector)
        spent = time.monotonic() - started
        print(f"measure: {len(missing):,} new files; {spent:.0f} s; in {root / measure.NAME}")
    store.tidy()
    predicted = {
        (row.path, row.sha256): {
            "label_score": row.label_score,
            "predicted_label": row.predicted_label,
        }
        for row in booked
    }
    rows = []
    for path, sha256 in originals.images.items():
        split, label, _ = path.split("/")
        facts = vars(store.measurements[sha256]) | predicted.get((path, sha256), {})
        names = {"path": path, "sha256": sha256, "split": split, "label": label}
        rows.append(Row(**names, **facts, fate=ledger.KEPT, reason=""))
    found = near.find_likenesses(
        rows, lambda row: read_grey(originals.folder / row.path, near.SIDE)
    )
    return [
        dataclasses.replace(row, similar=found.get(row.pixels_sha256 or "", ())) for row in rows
    ], False


def _booked(root: Path) -> list[Row]:
    """The ledger as it is; nothing if there is none, or one that this version cannot read."""
    try:
        return ledger.read(root)
    except UserError:
        return []  # what it said is found out again


def _screen(
    root: Path,
    record: _Record,
    inputs: dict[str, Any],
    rows: list[Row],
    rules: Rules,
    booked: bool,
) -> list[Row]:
    started = time.monotonic()
    judged = judge_faces(rows, rules)
    if record.has("screen") and record.inputs("screen") == inputs and booked:
        found = sum(row.has_face for row in judged)
        print(f"screen: nothing to do, {found:,} with a face in {root / folders.SCREENED}")
        _draw(root, "screen", judged, rules)
        return rows
    record.forget("screen")
    folders.fill_screened(root, judged)
    ledger.write(root, judged)
    counts = ledger.count_by_split([row for row in judged if row.has_face])
    record.add("screen", inputs=inputs, counts=counts)
    threshold = f"{rules.face_threshold:g}"
    print(f"\nImages with a face (res10 SSD, confidence above {threshold})")
    print(tables.counts_table("screen", counts))
    settled = sum(bool(row.face_side) and row.face_side != face_detector.SIDE for row in rows)
    if rules.face_threshold > face_detector.MAX_CASCADE_THRESHOLD and settled:
        print(
            f"  {settled:,} confidences were measured below {face_detector.SIDE} px, where they "
            f"sufficed for thresholds up to {face_detector.MAX_CASCADE_THRESHOLD}; --exact "
            f"measures all at {face_detector.SIDE}"
        )
    for row in judged:
        if row.split == "test" and row.fate != ledger.KEPT:
            print(f"  leaves the test split: {row.path} ({row.reason})")
    _close("screen", _tally(judged), root / folders.SCREENED, started)
    _draw(root, "screen", judged, rules)
    return judged


def _dedupe(root: Path, record: _Record, rows: list[Row], rules: Rules) -> None:
    started = time.monotonic()
    inputs = record.inputs("screen") | {"hash": "imagehash.dhash 64", "rules": vars(rules)}
    judged = judge(rows, rules)
    if record.has("dedupe") and record.inputs("dedupe") == inputs and judged == rows:
        print(f"dedupe: nothing to do, {_tally(rows)} in {root / folders.UNIQUE}")
    else:
        record.forget("dedupe")
        folders.fill_unique(root, judged)
        ledger.write(root, judged)
        kept = [row for row in judged if row.fate == ledger.KEPT]
        counts = ledger.count_by_split(kept)
        found = {
            "before": leaks.count_leaks(judged, rules),
            "after": leaks.count_leaks(kept, rules),
        }
        record.add("dedupe", inputs=inputs, counts=counts, leaks=found)
        print(f"\nUnique images (policy '{rules.policy}')")
        print(tables.counts_table("dedupe", counts))
        print("\nLeaks: images of one split that occur in another (before: all in the zip)")
        print(tables.leaks_table(found["before"], found["after"]))
        manifest = planted_flaws.read_manifest(root)
        if manifest and rules.policy != KEEP:
            planted = planted_flaws.format_flaws(planted_flaws.count_flaws(judged, manifest))
            print(f"\nPlanted in this sample, and found\n{planted}")
        _close("dedupe", _tally(judged), root / folders.UNIQUE, started)
    _draw(root, "dedupe", judged, rules)


def _tally(rows: Sequence[Row]) -> str:
    """'851 kept, 5 no face, 1 unreadable, ...'."""
    fates = collections.Counter(row.fate for row in rows)
    return ", ".join(
        f"{fates[fate]:,} {fate.replace('_', ' ')}"
        for fate in ledger.FATES
        if fates[fate] or fate in (ledger.KEPT, ledger.UNREADABLE)
    )


def _draw(root: Path, stage: str, rows: Sequence[Row], rules: Rules) -> None:
    """Draws the pictures of `stage` that are missing."""
    for name, draw in _PICTURES[stage].items():
        path = root / PICTURES / name
        if not path.exists():
            draw(root, rows, rules, path)
            print(f"{stage}: picture {path}")


def _close(stage: str, what: str, where: Path, started: float) -> None:
    print(f"{stage}: {what}; {time.monotonic() - started:.0f} s; in {where}")


def _listing(folder: Path) -> str:
    """One sha256 for the names and sizes of all files below `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    lines = sorted(f"{path.relative_to(folder)} {path.stat().st_size}\n" for path in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

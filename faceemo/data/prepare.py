"""From the zip to the images that training sees: unpack, screen, de-duplicate.

Each stage is done once. It counts as finished when root/preparation.json records it with the
fingerprint of what it was made from and its output is still there; anything else (a new zip, a
changed image, another threshold, a stage that was interrupted) redoes it and the stages after it.
The originals are only ever read.
"""

import collections
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.data import archive, dedupe, ledger, pictures, screen, sources, tables
from faceemo.data.ledger import Row
from faceemo.data.wanted import Wanted
from faceemo.errors import UserError

RECORD = sources.RECORD
PICTURES = "pictures"
THRESHOLD = 0.5  # the original's
_FOLDERS = {"unpack": archive.FOLDER, "screen": screen.FOLDER, "dedupe": dedupe.FOLDER}
STAGES = tuple(_FOLDERS)
# Drawn when their stage is finished: {file: what draws it}.
_PICTURES: dict[str, dict[str, Callable[[Path, Sequence[Row], Path], None]]] = {
    "screen": {"faces.png": pictures.faces},
    "dedupe": {
        "kept_and_left_out.png": pictures.fates,
        "conflicting_labels.png": pictures.conflicts,
    },
}


def prepare(
    root: Path,
    screen_threshold: float = THRESHOLD,
    last: str = "dedupe",
    wanted: Wanted | None = None,
) -> Path:
    """Does what is missing up to the stage `last` and says what came of it.

    Args:
        root: the dataset's folder; the images are looked for in it (`sources.find`).
        screen_threshold: an image shows a face where the detector's confidence is above it, 0..1.
        last: 'unpack', 'screen' or 'dedupe'.
        wanted: the source, the classes, the splits to make; the defaults if None.

    Returns:
        The folder that `last` fills: for 'dedupe' root/unique_images, as <split>/<class>/<image>.

    Raises:
        UserError: if the images are missing, damaged or not laid out as they should be, the
            detector cannot be had, or the threshold is out of range. The detector is looked for
            before any long work.
    """
    root = Path(root)
    if not 0 <= screen_threshold < 1:
        raise UserError(
            expected="a face threshold from 0 to below 1",
            found=f"{screen_threshold:g}",
            fix=f"the original used {THRESHOLD:g}",
        )
    archive.check_present(root, wanted)
    with staging.alone(root):
        record = _Record(root)
        # before the first long stage, not after it
        detector = screen.Detector() if last != "unpack" and not record.has("screen") else None
        originals = _unpack(root, record, wanted)
        if last == "unpack":
            return originals.folder
        _screen(root, record, originals, screen_threshold, detector)
        if last == "dedupe":
            _dedupe(root, record)
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


def _unpack(root: Path, record: _Record, wanted: Wanted | None) -> archive.Originals:
    started = time.monotonic()
    originals = archive.originals(root, record.inputs("unpack"), wanted)
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


def _screen(
    root: Path,
    record: _Record,
    originals: archive.Originals,
    threshold: float,
    detector: screen.Detector | None,
) -> None:
    started = time.monotonic()
    inputs = {
        "images": originals.fingerprint["images"],
        "detector": screen.DETECTOR,
        "threshold": threshold,
    }
    if record.has("screen") and record.inputs("screen") == inputs and _books(root, originals):
        rows = ledger.read(root)
        found = sum(row.has_face for row in rows)
        print(f"screen: nothing to do, {found:,} with a face in {root / screen.FOLDER}")
    else:
        record.forget("screen")
        rows = screen.screen(root, originals.images, threshold, detector or screen.Detector())
        ledger.write(root, rows)
        counts = ledger.counts([row for row in rows if row.has_face])
        record.add("screen", inputs=inputs, counts=counts)
        print(f"\nImages with a face (res10 SSD, confidence above {threshold:g})")
        print(tables.counts_table("screen", counts))
        for row in rows:
            if row.split == "test" and not row.has_face:
                print(f"  leaves the test split: {row.path} ({row.reason})")
        _close("screen", _tally(rows), root / screen.FOLDER, started)
    _draw(root, "screen", rows)


def _dedupe(root: Path, record: _Record) -> None:
    started = time.monotonic()
    inputs = record.inputs("screen") | {"hash": "imagehash.dhash 64", "across": dedupe.KEPT_SPLIT}
    booked = _sha256(root / ledger.NAME)
    if (
        record.has("dedupe")
        and record.inputs("dedupe") == inputs
        and record["dedupe"]["ledger"] == booked
    ):
        rows = ledger.read(root)
        print(f"dedupe: nothing to do, {_tally(rows)} in {root / dedupe.FOLDER}")
    else:
        record.forget("dedupe")
        rows = dedupe.dedupe(root, ledger.read(root))
        ledger.write(root, rows)
        kept = [row for row in rows if row.fate == ledger.KEPT]
        counts = ledger.counts(kept)
        leaks = {"before": dedupe.leaks(rows), "after": dedupe.leaks(kept)}
        record.add(
            "dedupe", inputs=inputs, counts=counts, leaks=leaks, ledger=_sha256(root / ledger.NAME)
        )
        print("\nUnique images (dHash over train and validation)")
        print(tables.counts_table("dedupe", counts))
        print("\nLeaks: images of one split that occur in another (before: all in the zip)")
        print(tables.leaks_table(leaks["before"], leaks["after"]))
        _close("dedupe", _tally(rows), root / dedupe.FOLDER, started)
    _draw(root, "dedupe", rows)


def _books(root: Path, originals: archive.Originals) -> bool:
    """Whether the ledger is there and about these images."""
    if not (root / ledger.NAME).is_file():
        return False
    return {row.path: row.sha256 for row in ledger.read(root)} == originals.images


def _tally(rows: Sequence[Row]) -> str:
    """'851 kept, 5 no face, 1 unreadable, ...'."""
    fates = collections.Counter(row.fate for row in rows)
    return ", ".join(
        f"{fates[fate]:,} {fate.replace('_', ' ')}"
        for fate in ledger.FATES
        if fates[fate] or fate in (ledger.KEPT, ledger.UNREADABLE)
    )


def _draw(root: Path, stage: str, rows: Sequence[Row]) -> None:
    """Draws the pictures of `stage` that are missing."""
    for name, draw in _PICTURES[stage].items():
        path = root / PICTURES / name
        if not path.exists():
            draw(root, rows, path)
            print(f"{stage}: picture {path}")


def _close(stage: str, what: str, where: Path, started: float) -> None:
    print(f"{stage}: {what}; {time.monotonic() - started:.0f} s; in {where}")


def _listing(folder: Path) -> str:
    """One sha256 for the names and sizes of all files below `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    lines = sorted(f"{path.relative_to(folder)} {path.stat().st_size}\n" for path in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

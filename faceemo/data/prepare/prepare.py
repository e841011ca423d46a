"""Prepares the images of a source for training: unpack, screen, de-duplicate.

Each stage runs once. It is finished if root/preparation.json records it with the fingerprint of its
inputs and its output is still there; anything else (a new zip, a changed image, another threshold,
an interruption) repeats it and the stages after it. The originals are never changed.
"""

import collections
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faceemo import staging
from faceemo.config.field_words import spell
from faceemo.data.ledger import leaks, ledger, losses
from faceemo.data.ledger.judge import count_kept_by_original, judge, judge_faces
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import KEEP, STRICT, Rules
from faceemo.data.measure import face_detector, measure, thumbnails
from faceemo.data.prepare import folders, leak_picture, measurements, pictures, tables
from faceemo.data.prepare.record import FOLDERS, PICTURES, RECORD, STAGES, Record
from faceemo.data.sample import planted_flaws
from faceemo.data.source import archive, cut_out, left_out, source_paths, votes_by_path
from faceemo.data.source.selection import Selection
from faceemo.data.votes import counting
from faceemo.errors import UserError, escape_name

__all__ = ["PICTURES", "RECORD", "STAGES", "prepare"]

_MOST_LOST = 10  # test images that are listed
_Draw = Callable[[Path, Sequence[Row], Rules, Path], None]


def _without_rules(draw: Callable[[Path, Sequence[Row], Path], None]) -> _Draw:
    return lambda root, rows, rules, path: draw(root, rows, path)


# The pictures that are drawn after each stage: {stage: {file name: drawing function}}.
_PICTURES: dict[str, dict[str, _Draw]] = {
    "screen": {"faces.png": _without_rules(pictures.draw_faces)},
    "dedupe": {
        "kept_and_left_out.png": _without_rules(pictures.draw_fates),
        "conflicting_labels.png": pictures.draw_conflicts,
        "leaks.png": leak_picture.draw_leaks,
    },
}


def prepare(
    root: Path,
    rules: Rules | None = None,
    last: str = "dedupe",
    *,
    selection: Selection | None = None,
    screen: str = measurements.SEARCH,
    exact: bool = False,
) -> Path:
    """Runs the unfinished stages up to `last` and prints their results.

    Args:
        root: The dataset's folder, in which the images are searched for if `selection` names no
            source.
        rules: Rules by which images are kept; the defaults if None.
        last: Last stage to run: 'unpack', 'screen' or 'dedupe'.
        selection: Source, classes and shares of the splits. None repeats the selection of the
            previous preparation, or uses the defaults if there was none.
        screen: Which images the detector sees: 'yes' all, 'boxes' those that no box of the source
            cut out, 'no' none. The others count as faces.
        exact: Whether the detector sees every image at 300 pixels, as in the original study.
            Otherwise it decides most images at smaller sides (`face_detector`), with the same fates
            at the threshold 0.5.

    Returns:
        The folder that `last` fills: for 'dedupe' root/unique_images, as <split>/<class>/<image>.

    Raises:
        UserError: If the images are missing, damaged or not laid out as expected, or the detector
            cannot be loaded, which is tried before any long work.
    """
    root = Path(root)
    rules = rules or Rules()
    if root.is_file():
        raise UserError(
            expected=f"a folder for what is prepared at {root}",
            found="a file",
            fix=f"name a folder as {spell('data_dir')}, which need not exist, and the images as "
            f"{spell('source')}",
        )
    archive.check_present(root, selection)
    with staging.locked(root):
        record = Record(root, _PICTURES)
        # a missing detector must be reported before the first long stage, not after it
        new = last != "unpack" and screen == measurements.SEARCH
        new = new and not measure.Store(root, exact=exact).measurements
        detector = face_detector.Detector(exact=exact) if new else None
        originals = _unpack(root, record, selection)
        if last == "unpack":
            return originals.folder
        unseen = measurements.list_unseen(root, originals, screen)
        inputs = {
            "images": originals.fingerprint["images"],
            "detector": face_detector.detector_name(exact),
            "measured": measure.VERSION,
            "threshold": rules.face_threshold,
        }
        if unseen:
            inputs |= {"screen": screen, "unseen": measurements.digest(unseen)}
        if rules.targets != counting.LABEL:
            inputs["targets"] = rules.targets
        screened = record.inputs("screen")
        keys = ("detector", "measured", "unseen")
        measured_alike = all(screened.get(key) == inputs.get(key) for key in keys)
        rows, from_ledger = measurements.measure_originals(
            root, originals, unseen, detector, exact, measured_alike
        )
        rows = _screen(root, record, inputs, rows, rules, from_ledger)
        (root / thumbnails.NAME).unlink(missing_ok=True)
        if last == "dedupe":
            _dedupe(root, record, rows, rules)
    return root / FOLDERS[last]


def _unpack(root: Path, record: Record, selection: Selection | None) -> archive.Originals:
    started = time.monotonic()
    originals = archive.ensure_originals(root, record.inputs("unpack"), selection)
    if record.inputs("unpack") == originals.fingerprint:
        print(f"unpack: nothing to do, {len(originals.images):,} images in {originals.folder}")
        return originals
    if originals.source:
        source_paths.write(root, originals.source, originals.paths_in_source)
        left_out.write(root, originals.not_used)
        cut_out.write(root, originals.cut_out)
    if originals.votes is not None:
        votes_by_path.write(root, originals.votes)
    counts: dict[str, dict[str, int]] = {}
    for path in originals.images:
        split, label, _ = path.split("/")
        counts.setdefault(split, collections.Counter())[label] += 1
    about = {"notes": originals.notes, "left_out": originals.left_out}
    record.finish("unpack", inputs=originals.fingerprint, counts=counts, **about)
    for note in originals.notes:
        print(f"unpack: {note}")
    print(f"\nImages in {originals.folder}\n{tables.format_counts('unpack', counts)}")
    verb = "unpacked" if originals.unpacked else "found"
    _print_end("unpack", f"{len(originals.images):,} images {verb}", originals.folder, started)
    return originals


def _screen(
    root: Path,
    record: Record,
    inputs: dict[str, Any],
    rows: list[Row],
    rules: Rules,
    from_ledger: bool,
) -> list[Row]:
    started = time.monotonic()
    judged = judge_faces(rows, rules)
    if record.is_finished("screen") and record.inputs("screen") == inputs and from_ledger:
        found = sum(row.has_face for row in judged)
        print(f"screen: nothing to do, {found:,} with a face in {root / folders.SCREENED}")
        _draw_missing_pictures(root, "screen", judged, rules)
        return rows
    record.invalidate("screen")
    folders.fill_screened(root, judged)
    ledger.write(root, judged)
    counts = ledger.count_by_split([row for row in judged if row.has_face], judged)
    record.finish("screen", inputs=inputs, counts=counts)
    threshold = f"{rules.face_threshold:g}"
    if inputs.get("screen") == measurements.SKIP:
        field = spell("screen", measurements.SKIP)
        print(f"\nImages that can be decoded ({field}: no detector has seen them)")
    else:
        print(f"\nImages with a face (res10 SSD, confidence above {threshold})")
    print(tables.format_counts("screen", counts))
    smaller = sum(bool(row.face_side) and row.face_side != face_detector.SIDE for row in rows)
    if rules.face_threshold > face_detector.MAX_CASCADE_THRESHOLD and smaller:
        print(
            f"  {smaller:,} confidences were measured at less than {face_detector.SIDE} px, which "
            f"suffices for thresholds up to {face_detector.MAX_CASCADE_THRESHOLD}; "
            f"{spell('exact_screening', True)} measures all at {face_detector.SIDE} px"
        )
    for line in losses.describe_unreadable(judged):
        print(f"  {line}")
    lost = [row for row in judged if row.split == "test" and row.fate != ledger.KEPT]
    for row in lost[:_MOST_LOST]:
        print(f"  leaves the test split: {escape_name(row.path)} ({row.reason})")
    if len(lost) > _MOST_LOST:
        print(
            f"  and {len(lost) - _MOST_LOST:,} more leave it; "
            "scripts/show_ledger.py --split test prints why"
        )
    _print_end("screen", _format_fates(judged), root / folders.SCREENED, started)
    _draw_missing_pictures(root, "screen", judged, rules)
    return judged


def _dedupe(root: Path, record: Record, rows: list[Row], rules: Rules) -> None:
    started = time.monotonic()
    inputs = record.inputs("screen") | {"hash": "imagehash.dhash 64", "rules": rules.to_record()}
    judged = judge(rows, rules)
    if record.is_finished("dedupe") and record.inputs("dedupe") == inputs and judged == rows:
        print(f"dedupe: nothing to do, {_format_fates(rows)} in {root / folders.UNIQUE}")
    else:
        record.invalidate("dedupe")
        folders.fill_unique(root, judged)
        ledger.write(root, judged)
        kept = [row for row in judged if row.fate == ledger.KEPT]
        counts = ledger.count_by_split(kept, judged)
        found = {
            "before": leaks.count_leaks(judged, rules),
            "after": leaks.count_leaks(kept, rules),
        }
        record.finish("dedupe", inputs=inputs, counts=counts, leaks=found)
        print(f"\nUnique images (policy '{rules.policy}')")
        print(tables.format_counts("dedupe", counts))
        if rules.policy == STRICT and tables.find_published("dedupe", counts):
            by_original = count_kept_by_original(judged, rules)
            print(
                "  the original's counts follow its own rule, "
                f"{spell('policy', 'original')}, which keeps "
                f"{by_original:,} images here; 'strict' leaves no near or mirrored copy in two "
                "splits, and test whole"
            )
        print("\nLeaks: images of one split that occur in another (before: all originals)")
        print(tables.format_leaks(found["before"], found["after"]))
        manifest = planted_flaws.read_manifest(root)
        if manifest and rules.policy != KEEP:
            planted = planted_flaws.format_flaws(planted_flaws.count_flaws(judged, manifest))
            print(f"\nFlaws planted in this sample, and found by the preparation\n{planted}")
        for words in losses.list_emptied(judged):
            print(f"  no image is kept of {words}")
        _print_end("dedupe", _format_fates(judged), root / folders.UNIQUE, started)
    _draw_missing_pictures(root, "dedupe", judged, rules)


def _format_fates(rows: Sequence[Row]) -> str:
    """Formats the counts of fates: '851 kept, 5 no face, 1 unreadable, ...'."""
    fates = collections.Counter(row.fate for row in rows)
    return ", ".join(
        f"{fates[fate]:,} {fate.replace('_', ' ')}"
        for fate in ledger.FATES
        if fates[fate] or fate in (ledger.KEPT, ledger.UNREADABLE)
    )


def _draw_missing_pictures(root: Path, stage: str, rows: Sequence[Row], rules: Rules) -> None:
    """Draws the pictures of a stage that are not there; a failure is reported and stops nothing."""
    for name, draw in _PICTURES[stage].items():
        path = root / PICTURES / name
        if path.exists():
            continue
        try:
            draw(root, rows, rules, path)
        except Exception as error:  # whatever it is, the images are prepared
            print(f"{stage}: picture {path} is missing ({type(error).__name__}: {error})")
        else:
            print(f"{stage}: picture {path}")


def _print_end(stage: str, result: str, folder: Path, started: float) -> None:
    print(f"{stage}: {result}; {time.monotonic() - started:.0f} s; in {folder}")

"""Program that data_scale.py starts: the search for duplicates among many images, without images.

    python data_rows.py FOLDER COUNT

Measurements of COUNT images are made up: of a hundred, one has the pixels of the one before, and
unrelated hashes are near as often as those of FER2013 (5 pairs in a million). Prints as its last
line a JSON object: processor seconds of each part, the pairs that were compared, and the highest
memory in MiB.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faceemo.data.ledger import judge, leaks, ledger, near
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.prepare import measurements
from faceemo.data.source.archive import Originals
from faceemo.data.source.selection import Selection

# Bits of a hash that differ between images, all over the hash. Of 33 random ones at most 4 differ
# in 5.5 of a million pairs.
_RANDOM_BITS = np.linspace(0, 63, 33).round().astype(np.uint64)
_BATCH = 1000


def main(folder: Path, count: int) -> None:
    """Makes up the measurements, and does with them what a preparation does."""
    folder.mkdir(parents=True, exist_ok=True)
    images = _make_up(folder, count)
    compared = 0
    compare = near._compare

    def counting(pairs: np.ndarray, pixels: dict[int, np.ndarray]) -> Iterator:
        nonlocal compared
        compared += len(pairs)
        return compare(pairs, pixels)

    near._compare = counting
    measurements.read_grey = _draw
    seconds, rules, last = {}, Rules(), time.process_time()

    def note(part: str) -> None:
        nonlocal last
        now = time.process_time()
        seconds[part], last = round(now - last, 1), now

    originals = Originals(folder / "none", images, "0", True, (), Selection())
    rows, _ = measurements.measure_originals(
        folder, originals, frozenset(images), None, False, False
    )
    note("read and compare")
    rows = judge.judge_faces(rows, rules)
    ledger.write(folder, rows)
    note("write")
    rows = judge.judge(rows, rules)
    note("judge")
    leaks.count_leaks(rows, rules)
    note("count leaks")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    left_out = sum(row.fate != ledger.KEPT for row in rows)
    facts = {"rows": count, "pairs": compared, "left_out": left_out, "peak_mib": peak}
    print(json.dumps(facts | {"processor_seconds": seconds}))


def _make_up(folder: Path, count: int) -> dict[str, str]:
    """Writes measurements of images, and returns the sha256 of each image by its path."""
    store = measure.Store(folder, faces=False)
    images = {}
    for start in range(0, count, _BATCH):
        made = {}
        for number in range(start, min(start + _BATCH, count)):
            shown = number - 1 if number % 100 == 99 else number
            bits = np.random.default_rng(shown).integers(0, 2, (2, len(_RANDOM_BITS)), np.uint64)
            hashes = (bits << _RANDOM_BITS).sum(axis=1, dtype=np.uint64).tolist()
            sha256 = hashlib.sha256(f"file {number}".encode()).hexdigest()
            split = {7: "validation", 8: "test"}.get(number % 40, "train")
            images[f"{split}/class{shown % 7}/{number:07}.jpg"] = sha256
            made[sha256] = measure.Measurement(
                bytes=5800,
                mode="RGB",
                width=112,
                height=112,
                pixels_sha256=hashlib.sha256(f"pixels {shown}".encode()).hexdigest(),
                blank=0.1234,
                dhash=f"{hashes[0]:016x}",
                dhash_mirrored=f"{hashes[1]:016x}",
            )
        store.add(made)
    return dict(sorted(images.items()))


def _draw(path: Path, size: int) -> np.ndarray:
    """Draws noise in place of an image, uint8 [size, size]."""
    return np.random.default_rng(int(path.stem)).integers(0, 256, (size, size), np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

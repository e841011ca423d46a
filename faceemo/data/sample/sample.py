"""Sample data: a zip of drawn faces in the layout of the real one, with planted flaws.

Every picture is drawn, not photographed. The flaws give each stage of preparation something to
find, and manifest.json says what it must find, so that its recall and precision can be counted
exactly. What preparation removes comes on top of the requested counts: after a perfect one each
split holds just those, equally many of each class.
"""

import dataclasses
import io
import itertools
import json
import zipfile
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.sample.canvas import SIDE
from faceemo.data.sample.draw_face import draw_face
from faceemo.data.sample.draw_non_face import THINGS, draw_thing
from faceemo.data.source import archive
from faceemo.errors import UserError

ZIP_NAME = archive.ZIP
MANIFEST_NAME = "manifest.json"
SOURCE = "drawn, not photographed"
COUNTS = {"train": 800, "validation": 200, "test": 80}
LEAST = {"train": 24, "validation": 12, "test": 8}  # that the flaws fit into
FER_ROWS = 35_887  # file names are rows of FER2013, as in the real zip

# Two faces that have nothing to do with each other differ in more than this many of the 64 bits of
# their dHash; a close pair in 1 or 2.
_APART = 4
_CLOSE = 2


@dataclasses.dataclass(eq=False)
class _Picture:
    split: str
    label: str
    data: bytes  # of the JPEG
    row: int = -1

    @property
    def path(self) -> str:
        return f"{self.split}/{self.label}/{self.row}.jpg"


@dataclasses.dataclass(frozen=True)
class _Flaw:
    kind: str
    members: tuple[_Picture, ...]  # the original first, where there is one


def write_zip(root: Path, seed: int, counts: dict[str, int] | None = None) -> Path:
    """Writes root/Facial_emotion_images.zip and root/manifest.json, replacing older ones.

    The same seed and counts give the same bytes (with the same release of Pillow's JPEG encoder).
    See `_plant` for the kinds of flaws.

    Args:
        root: folder, made if it does not exist.
        seed: not negative; everything is drawn from it.
        counts: images of each split that preparation must keep, spread evenly over the classes;
            `COUNTS` if None.

    Returns:
        The path of the zip.

    Raises:
        UserError: if `counts` does not name every split, or a number is below `LEAST`.
    """
    counts = COUNTS if counts is None else counts
    if set(counts) != set(SPLITS) or any(counts[split] < LEAST[split] for split in SPLITS):
        raise UserError(
            expected=f"at least {LEAST} drawn faces",
            found=f"{counts}",
            fix="ask for more, in all three splits",
        )
    album = _Album(seed)
    flaws = _plant(album, counts)
    album.number()
    manifest = _manifest(album, flaws, seed, counts)
    with staging.file(root / MANIFEST_NAME) as partial:
        partial.write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
    with staging.file(root / ZIP_NAME) as partial, zipfile.ZipFile(partial, "w") as target:
        for picture in sorted(album.pictures, key=lambda picture: picture.path):
            # ZipInfo's own date is 1980: the time of writing must not get into the bytes
            member = zipfile.ZipInfo(f"{archive.FOLDER}/{picture.path}")
            member.external_attr = 0o644 << 16
            target.writestr(member, picture.data)
    print(
        f"sample: {len(album.pictures):,} pictures ({SOURCE}), {len(flaws)} planted flaws "
        f"-> {root / ZIP_NAME}"
    )
    return root / ZIP_NAME


class _Album:
    """The pictures made so far; no two faces in it look alike unless they are meant to."""

    def __init__(self, seed: int):
        self._seed = seed
        self._drawn = itertools.count()
        self._hashes: list[int] = []
        self._progress = tqdm(desc="drawing sample faces", unit="face", disable=None, leave=False)
        self.pictures: list[_Picture] = []

    def rng(self) -> np.random.Generator:
        """The source of the next picture's variety."""
        seeds = np.random.SeedSequence([self._seed, next(self._drawn)])
        return np.random.Generator(np.random.Philox(seeds))

    def add(self, split: str, label: str, data: bytes) -> _Picture:
        self.pictures.append(_Picture(split, label, data))
        self._progress.update()
        return self.pictures[-1]

    def face(self, split: str, label: str) -> _Picture:
        """A new face, unlike all others, whose dHash outlives at least one way to re-encode it."""
        while True:
            rng = self.rng()
            data = _jpeg(draw_face(rng, label), int(rng.integers(88, 97)))
            dhash = _dhash(data)
            steady = _dhash(_jpeg(_brightened(data, 1), 90)) == dhash
            if steady and self._distance(dhash) > _APART:
                self._hashes.append(dhash)
                return self.add(split, label, data)

    def copy(self, original: _Picture, split: str, label: str) -> _Picture:
        """The same bytes in another place."""
        return self.add(split, label, original.data)

    def reencode(self, original: _Picture, split: str, label: str) -> _Picture:
        """Other bytes with the same dHash: another JPEG quality, a little brighter or darker."""
        return self.add(split, label, self._altered(original, 0, 0))

    def retouch(self, original: _Picture, split: str, label: str) -> _Picture:
        """Looks the same, but 1 or 2 bits of the dHash differ."""
        while True:
            data = self._altered(original, 1, _CLOSE)
            others = [known for known in self._hashes if known != _dhash(original.data)]
            if min(_bits(_dhash(data), known) for known in others) > _APART:
                self._hashes.append(_dhash(data))
                return self.add(split, label, data)

    def number(self) -> None:
        """Gives every picture its file name, a row unique in the zip, in random order."""
        rows = max(FER_ROWS, 2 * len(self.pictures))
        drawn = np.argsort(self.rng().random(rows), kind="stable")
        for picture, row in zip(self.pictures, drawn, strict=False):
            picture.row = int(row)
        self._progress.close()

    def _distance(self, dhash: int) -> int:
        """To the most similar face so far."""
        return min((_bits(dhash, known) for known in self._hashes), default=64)

    def _altered(self, original: _Picture, least: int, most: int) -> bytes:
        """A new version whose dHash differs in that many bits."""
        noise = 3.0 if most else 0.0
        while True:
            rng = self.rng()
            change = int(rng.integers(-2, 3)) + rng.uniform(-noise, noise, (SIDE, SIDE))
            data = _jpeg(_brightened(original.data, change), int(rng.integers(75, 98)))
            distance = _bits(_dhash(data), _dhash(original.data))
            if data != original.data and least <= distance <= most:
                return data
            noise *= 1.05  # some faces are steadier than others


def _plant(album: _Album, counts: dict[str, int]) -> list[_Flaw]:
    """Draws everything.

    With the default counts there are, in each class:

    exact_duplicate   3 groups inside train and 1 inside validation, one of them of three
    near_duplicate    the same, re-encoded: other bytes, same dHash
    close_pair        3 pairs inside train, 1 to 2 bits of dHash apart: kept by the rules in force
    leak_validation   2 groups across train and validation, one exact, one re-encoded
    leak_test         1 test image that is a train image: listed by preparation, not removed
    conflict          2 images that also stand under another class, one of them in validation
    blank             1 constant image
    non_face          2 textures or objects in train, 1 in validation
    truncated         1 file cut off in the middle
    """
    flaws: list[_Flaw] = []

    def flaw(kind: str, *members: _Picture) -> None:
        flaws.append(_Flaw(kind, members))

    each = {
        (split, label): counts[split] // len(CLASSES) + (number < counts[split] % len(CLASSES))
        for split in SPLITS
        for number, label in enumerate(CLASSES)
    }
    for number, label in enumerate(CLASSES):
        other = CLASSES[(number + 1) % len(CLASSES)]
        groups = max(1, each["train", label] // 64)
        leaks = max(1, min(groups, each["validation", label] // 25))
        # These stand inside the counts: they take the place of so many independent faces.
        inside = {"train": groups, "validation": 0, "test": 1}
        fresh = {
            split: iter([album.face(split, label) for _ in range(each[split, label] - taken)])
            for split, taken in inside.items()
        }
        for _ in range(groups):
            original = next(fresh["train"])
            flaw("close_pair", original, album.retouch(original, "train", label))
        original = next(fresh["train"])
        version = album.copy if number % 2 == 0 else album.reencode
        flaw("leak_test", original, version(original, "test", label))
        # All others come on top.
        for split, times in (("train", groups), ("validation", 1)):
            for turn in range(times):
                for kind, version in (
                    ("exact_duplicate", album.copy),
                    ("near_duplicate", album.reencode),
                ):
                    original = next(fresh[split])
                    copies = 2 if turn == 1 else 1
                    flaw(kind, original, *(version(original, split, label) for _ in range(copies)))
        # The copy goes to the side that the rules clear, so that the counts stay.
        home, away = ("train", "validation") if label == "happy" else ("validation", "train")
        for turn in range(leaks):
            original = next(fresh[home])
            version = album.copy if turn % 2 == 0 else album.reencode
            flaw("leak_validation", original, version(original, away, label))
        for split, version in (("train", album.copy), ("validation", album.reencode)):
            original = album.face("train", label)
            flaw("conflict", original, version(original, split, other))
        # the same grey under two classes: screening must come before the search for duplicates
        grey = np.full((SIDE, SIDE), (0, 128, 255, 128)[number], np.uint8)
        flaw("blank", album.add("train", label, _jpeg(grey, 95)))
        for turn, split in enumerate(("train", "train", "validation")):
            thing = draw_thing(album.rng(), list(THINGS)[(3 * number + turn) % len(THINGS)])
            flaw("non_face", album.add(split, label, _jpeg(thing, 92)))
        whole = album.face("train", label)
        whole.data = whole.data[: len(whole.data) * 3 // 5]
        flaw("truncated", whole)
    return flaws


def _fates(flaw: _Flaw) -> dict[str, str]:
    """What the study's rules make of each member: {path: fate}."""
    members = flaw.members
    lone = {"blank": ledger.NO_FACE, "non_face": ledger.NO_FACE, "truncated": ledger.UNREADABLE}
    if flaw.kind in lone:
        return {members[0].path: lone[flaw.kind]}
    if flaw.kind == "conflict":
        return {member.path: ledger.CONFLICT for member in members}
    if flaw.kind in ("close_pair", "leak_test"):
        return {member.path: ledger.KEPT for member in members}
    stays = "train" if members[0].label == "happy" else "validation"
    kept = min(members, key=lambda member: (member.split != stays, member.row))
    return {member.path: ledger.KEPT if member is kept else ledger.DUPLICATE for member in members}


def _manifest(album: _Album, flaws: list[_Flaw], seed: int, counts: dict[str, int]) -> dict:
    """What is in the zip, as JSON; every picture that no flaw names is to be kept."""
    return {
        "source": SOURCE,
        "generator": "faceemo.data.sample",
        "seed": seed,
        "counts_after_preparation": counts,
        "images": len(album.pictures),
        "flaws": [{"kind": flaw.kind, "members": _fates(flaw)} for flaw in flaws],
        "test_leaks": [
            {"test": flaw.members[1].path, "other": flaw.members[0].path}
            for flaw in flaws
            if flaw.kind == "leak_test"
        ],
    }


def _brightened(data: bytes, by: float | np.ndarray) -> np.ndarray:
    """The pixels of a JPEG, `by` grey levels brighter."""
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(np.float64)
    return np.clip(np.round(pixels + by), 0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _dhash(data: bytes) -> int:
    """The difference hash of the JPEG as a reader decodes it: 64 bits."""
    bits = imagehash.dhash(Image.open(io.BytesIO(data))).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()

"""Sample data: a zip of drawn faces in the layout of the real one, with planted flaws.

Every image is drawn, not photographed. The flaws give each stage of the preparation something to
find, and manifest.json says what it must find, so that its recall and precision can be counted
exactly. The images that preparation removes come on top of the requested counts: after a perfect
preparation each split holds exactly its count, spread evenly over the classes.
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
from faceemo.data.sample.draw_non_face import NON_FACES, draw_non_face
from faceemo.data.source import archive
from faceemo.errors import UserError

ZIP_NAME = archive.ZIP
MANIFEST_NAME = "manifest.json"
SOURCE = "drawn, not photographed"
DEFAULT_COUNTS = {"train": 800, "validation": 200, "test": 80}
MIN_COUNTS = {"train": 24, "validation": 12, "test": 8}  # the flaws need as many
FER_ROWS = 35_887  # file names are rows of FER2013, as in the real zip

# Unrelated faces differ in more than `_UNRELATED_BITS` of the 64 bits of their dHash, the two faces
# of a close pair in 1 to `_CLOSE_BITS`.
_UNRELATED_BITS = 4
_CLOSE_BITS = 2


@dataclasses.dataclass(eq=False)
class _DrawnImage:
    split: str
    label: str
    data: bytes  # a JPEG
    row: int = -1  # of FER2013, the file's name

    @property
    def path(self) -> str:
        return f"{self.split}/{self.label}/{self.row}.jpg"


@dataclasses.dataclass(frozen=True)
class _Flaw:
    kind: str
    members: tuple[_DrawnImage, ...]  # the original first, if there is one


def write_zip(root: Path, seed: int, counts: dict[str, int] | None = None) -> Path:
    """Writes root/Facial_emotion_images.zip and root/manifest.json, replacing older ones.

    The same seed and counts give the same bytes (with the same release of Pillow's JPEG encoder).
    `_plant` lists the kinds of flaws.

    Args:
        root: Folder to write to; it is made if it does not exist.
        seed: Seed of everything that is drawn, from 0.
        counts: Number of images that preparation must keep in each split, spread evenly over the
            classes; `DEFAULT_COUNTS` if None.

    Returns:
        The path of the zip.

    Raises:
        UserError: If `counts` does not name every split, or a number is below `MIN_COUNTS`.
    """
    counts = DEFAULT_COUNTS if counts is None else counts
    if set(counts) != set(SPLITS) or any(counts[split] < MIN_COUNTS[split] for split in SPLITS):
        least = ", ".join(f"{MIN_COUNTS[split]} {split}" for split in SPLITS)
        raise UserError(
            expected=f"at least {least} images",
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
        for image in sorted(album.images, key=lambda image: image.path):
            # ZipInfo's own date is 1980: the bytes must not depend on the time of writing
            member = zipfile.ZipInfo(f"{archive.FOLDER}/{image.path}")
            member.external_attr = 0o644 << 16
            target.writestr(member, image.data)
    print(
        f"sample: {len(album.images):,} images ({SOURCE}), {len(flaws)} planted flaws "
        f"-> {root / ZIP_NAME}"
    )
    return root / ZIP_NAME


class _Album:
    """The images drawn so far; no two faces among them are alike unless they are meant to be."""

    def __init__(self, seed: int):
        self._seed = seed
        self._drawn = itertools.count()
        self._hashes: list[int] = []
        self._progress = tqdm(desc="drawing sample faces", unit="face", disable=None, leave=False)
        self.images: list[_DrawnImage] = []

    def next_rng(self) -> np.random.Generator:
        """Makes the generator from which the next image is drawn."""
        seeds = np.random.SeedSequence([self._seed, next(self._drawn)])
        return np.random.Generator(np.random.Philox(seeds))

    def add(self, split: str, label: str, data: bytes) -> _DrawnImage:
        self.images.append(_DrawnImage(split, label, data))
        self._progress.update()
        return self.images[-1]

    def add_face(self, split: str, label: str) -> _DrawnImage:
        """Draws a face unlike all others, whose dHash survives at least one re-encoding."""
        while True:
            rng = self.next_rng()
            data = _encode(draw_face(rng, label), int(rng.integers(88, 97)))
            dhash = _dhash(data)
            steady = _dhash(_encode(_brighten(data, 1), 90)) == dhash
            if steady and self._nearest_distance(dhash) > _UNRELATED_BITS:
                self._hashes.append(dhash)
                return self.add(split, label, data)

    def copy(self, original: _DrawnImage, split: str, label: str) -> _DrawnImage:
        """Adds the same bytes to another split or class."""
        return self.add(split, label, original.data)

    def reencode(self, original: _DrawnImage, split: str, label: str) -> _DrawnImage:
        """Adds other bytes of the same dHash: another JPEG quality, slightly brighter or darker."""
        return self.add(split, label, self._alter(original, 0, 0))

    def retouch(self, original: _DrawnImage, split: str, label: str) -> _DrawnImage:
        """Adds a version that looks the same but differs in 1 or 2 bits of the dHash."""
        while True:
            data = self._alter(original, 1, _CLOSE_BITS)
            others = [known for known in self._hashes if known != _dhash(original.data)]
            if min(_hamming(_dhash(data), known) for known in others) > _UNRELATED_BITS:
                self._hashes.append(_dhash(data))
                return self.add(split, label, data)

    def number(self) -> None:
        """Names every image by a random row of FER2013, each row at most once in the zip."""
        rows = max(FER_ROWS, 2 * len(self.images))
        drawn = np.argsort(self.next_rng().random(rows), kind="stable")
        for image, row in zip(self.images, drawn, strict=False):
            image.row = int(row)
        self._progress.close()

    def _nearest_distance(self, dhash: int) -> int:
        """Returns the Hamming distance to the most similar face so far."""
        return min((_hamming(dhash, known) for known in self._hashes), default=64)

    def _alter(self, original: _DrawnImage, least: int, most: int) -> bytes:
        """Re-encodes an image until `least` to `most` bits of its dHash differ."""
        noise = 3.0 if most else 0.0
        while True:
            rng = self.next_rng()
            change = int(rng.integers(-2, 3)) + rng.uniform(-noise, noise, (SIDE, SIDE))
            data = _encode(_brighten(original.data, change), int(rng.integers(75, 98)))
            distance = _hamming(_dhash(data), _dhash(original.data))
            if data != original.data and least <= distance <= most:
                return data
            noise *= 1.05  # the hash of some faces needs more noise to change


def _plant(album: _Album, counts: dict[str, int]) -> list[_Flaw]:
    """Draws all images and returns the planted flaws.

    With the default counts each class has:

    exact_duplicate   3 groups inside train and 1 inside validation, one of them of three
    near_duplicate    as many groups, re-encoded: other bytes, same dHash
    close_pair        3 pairs inside train, 1 to 2 bits of dHash apart: kept by the default rules
    leak_validation   2 groups across train and validation, one exact, one re-encoded
    leak_test         1 test image that is a train image: listed by preparation, not removed
    conflict          2 images that are also in another class, one of them in validation
    blank             1 constant image
    non_face          2 textures or objects in train, 1 in validation
    truncated         1 file cut off in the middle
    """
    flaws: list[_Flaw] = []

    def add_flaw(kind: str, *members: _DrawnImage) -> None:
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
        # Preparation keeps these versions, so they count: there are as many fewer unrelated faces.
        versions = {"train": groups, "validation": 0, "test": 1}
        fresh = {
            split: iter([album.add_face(split, label) for _ in range(each[split, label] - taken)])
            for split, taken in versions.items()
        }
        for _ in range(groups):
            original = next(fresh["train"])
            add_flaw("close_pair", original, album.retouch(original, "train", label))
        original = next(fresh["train"])
        version = album.copy if number % 2 == 0 else album.reencode
        add_flaw("leak_test", original, version(original, "test", label))
        # Preparation removes all that follow, so they come on top of the counts.
        for split, times in (("train", groups), ("validation", 1)):
            for turn in range(times):
                for kind, version in (
                    ("exact_duplicate", album.copy),
                    ("near_duplicate", album.reencode),
                ):
                    original = next(fresh[split])
                    copies = [version(original, split, label) for _ in range(2 if turn == 1 else 1)]
                    add_flaw(kind, original, *copies)
        # The copy is in the split from which the rules remove it, so that the counts stay.
        home, away = ("train", "validation") if label == "happy" else ("validation", "train")
        for turn in range(leaks):
            original = next(fresh[home])
            version = album.copy if turn % 2 == 0 else album.reencode
            add_flaw("leak_validation", original, version(original, away, label))
        for split, version in (("train", album.copy), ("validation", album.reencode)):
            original = album.add_face("train", label)
            add_flaw("conflict", original, version(original, split, other))
        # the same grey in two classes: screening must come before the search for duplicates
        grey = np.full((SIDE, SIDE), (0, 128, 255, 128)[number], np.uint8)
        add_flaw("blank", album.add("train", label, _encode(grey, 95)))
        kinds = list(NON_FACES)
        for turn, split in enumerate(("train", "train", "validation")):
            pixels = draw_non_face(album.next_rng(), kinds[(3 * number + turn) % len(kinds)])
            add_flaw("non_face", album.add(split, label, _encode(pixels, 92)))
        whole = album.add_face("train", label)
        whole.data = whole.data[: len(whole.data) * 3 // 5]
        add_flaw("truncated", whole)
    return flaws


def _fates(flaw: _Flaw) -> dict[str, str]:
    """Applies the study's rules to each member of a flaw: {path: fate}."""
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
    """Describes the zip as JSON; preparation must keep every image that no flaw names."""
    return {
        "source": SOURCE,
        "generator": "faceemo.data.sample",
        "seed": seed,
        "counts_after_preparation": counts,
        "images": len(album.images),
        "flaws": [{"kind": flaw.kind, "members": _fates(flaw)} for flaw in flaws],
        "test_leaks": [
            {"test": flaw.members[1].path, "other": flaw.members[0].path}
            for flaw in flaws
            if flaw.kind == "leak_test"
        ],
    }


def _brighten(data: bytes, by: float | np.ndarray) -> np.ndarray:
    """Decodes a JPEG and makes its pixels `by` grey levels brighter."""
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(np.float64)
    return np.clip(np.round(pixels + by), 0, 255).astype(np.uint8)


def _encode(image: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _dhash(data: bytes) -> int:
    """Computes the 64-bit difference hash of a JPEG as it is decoded."""
    bits = imagehash.dhash(Image.open(io.BytesIO(data))).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _hamming(a: int, b: int) -> int:
    return (a ^ b).bit_count()

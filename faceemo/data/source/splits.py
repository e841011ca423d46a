"""Splits made by seed if a source has none: stratified by class, no group of duplicates cut."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from faceemo.data.ledger import ledger, near
from faceemo.data.measure import measure, thumbnails
from faceemo.data.measure.decode import decode, resize_square
from faceemo.errors import UserError

_BATCH_SIZE = 512  # images read at once
_PART_SIZE = 64  # of them measured by one thread


@dataclasses.dataclass(frozen=True)
class Member:
    """A train image that may move to another split."""

    path: str
    label: str
    group: str  # the same for all images that must stay together


def assign_splits(
    members: Iterable[Member], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Chooses images that leave train for another split: {path: split}.

    The choice does not depend on the order of `members`. Every split gets its share of the images
    of each class, to within half a group, and at least one image. A group moves as a whole, and
    counts for the class that most of its images have.

    Args:
        members: All images of train.
        shares: Share of the images for each split, above 0, together below 1.
        seed: Seed of the choice.

    Raises:
        UserError: If a class has too few groups to leave one in every split.
    """
    groups = collections.defaultdict(list)
    for member in sorted(members, key=lambda member: member.path):
        groups[member.group].append(member)
    by_class = collections.defaultdict(list)
    for group, group_members in groups.items():
        labels = collections.Counter(member.label for member in group_members)
        label = min(labels, key=lambda label: (-labels[label], label))
        by_class[label].append(group)
    moved = {}
    for label, names in sorted(by_class.items()):
        if len(names) <= len(shares):
            raise UserError(
                expected=f"at least {len(shares) + 1} different images of {label} in train, to "
                f"make {' and '.join(shares)} from it",
                found=f"{len(names)}",
                fix="add images of that class, or leave it out of classes",
            )
        names.sort(key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
        sizes = {name: len(groups[name]) for name in names}
        total = sum(sizes.values())
        for made, (split, share) in enumerate(shares.items()):
            chosen, taken = [], 0
            for name in names:
                remaining = len(names) - len(chosen)
                # one group stays for train, and one for each split still to come
                if remaining > len(shares) - made and 2 * (share * total - taken) > sizes[name]:
                    chosen.append(name)
                    taken += sizes[name]
            chosen = chosen or [min(names, key=lambda name: sizes[name])]
            names = [name for name in names if name not in set(chosen)]
            moved |= {member.path: split for name in chosen for member in groups[name]}
    return moved


def group_look_alikes(
    contents: Iterable[tuple[str, bytes]], root: Path | None = None
) -> dict[str, str]:
    """Groups images that any rules could take for the same photo: {path: group}.

    A group joins equal files, equal hashes and all likenesses of `near.find_likenesses`, mirrored
    or not, also by way of a third image. The group's name is the least sha256 in it.

    Args:
        contents: Path and bytes of each image.
        root: The dataset's folder, in which measurements are kept, so that those of a killed
            process are not made again. None keeps none. 48x48 pixels of each image are in a file.
    """
    store = measure.Store(root, faces=False) if root else None
    known = store.measurements if store else {}
    squares = thumbnails.Thumbnails(root and root / thumbnails.NAME)
    rows, shas = [], {}
    with (
        contextlib.closing(squares),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for batch in _make_batches(contents):
            shas |= {path: hashlib.sha256(content).hexdigest() for path, content in batch}
            new = {
                shas[path]: content
                for path, content in batch
                if not _is_known(known.get(shas[path]), squares)
            }
            files = list(new.values())
            parts = [files[start : start + _PART_SIZE] for start in range(0, len(new), _PART_SIZE)]
            made = pool.map(functools.partial(_measure, squares), parts)
            measured = dict(zip(new, itertools.chain(*made), strict=True))
            if store and measured:
                store.add(measured)
            known |= measured
            rows += [
                _make_row(path, known[shas[path]])
                for path, _ in batch
                if not known[shas[path]].problem
            ]
        alike = near.find_likenesses(rows, functools.partial(_recall, squares))
    if store:
        store.tidy()
    parents = {sha: sha for sha in shas.values()}

    def find_root(sha: str) -> str:
        while parents[sha] != sha:
            parents[sha] = sha = parents[parents[sha]]
        return sha

    def join(one: str, other: str) -> None:
        low, high = sorted((find_root(shas[one]), find_root(shas[other])))
        parents[high] = low

    for field in ("pixels_sha256", "dhash"):
        first: dict[str, str] = {}
        for row in rows:
            join(row.path, first.setdefault(getattr(row, field), row.path))
    path_of = {row.pixels_sha256: row.path for row in rows}
    for pixels, likenesses in alike.items():
        for likeness in likenesses:
            join(path_of[pixels], likeness.path)
    return {path: find_root(sha) for path, sha in shas.items()}


def _is_known(measured: measure.Measurement | None, squares: thumbnails.Thumbnails) -> bool:
    """Returns whether an image need not be decoded."""
    if measured is None or measured.pixels_sha256 is None:
        return measured is not None
    return measured.pixels_sha256 in squares


def _measure(
    squares: thumbnails.Thumbnails, contents: Sequence[bytes]
) -> list[measure.Measurement]:
    """Measures images and keeps their squares."""
    files = [decode(content) for content in contents]
    found = measure.measure_decoded(files, None)
    for file, measured in zip(files, found, strict=True):
        if file.pixels and measured.pixels_sha256:
            grey = Image.fromarray(file.pixels.grey)
            squares.get(measured.pixels_sha256, functools.partial(resize_square, grey, near.SIDE))
    return found


def _recall(squares: thumbnails.Thumbnails, row: ledger.Row) -> np.ndarray:
    """Returns the square of an image, all of which are kept."""
    assert row.pixels_sha256  # rows without pixels are not compared

    def fail() -> np.ndarray:
        raise AssertionError(f"no square of {row.path}")

    return squares.get(row.pixels_sha256, fail)


def _make_row(path: str, measured: measure.Measurement) -> ledger.Row:
    """Makes a ledger's row with the fields that `near.find_likenesses` needs."""
    facts = measured.to_fields()
    return ledger.Row(
        path=path, sha256="", split="train", label="", fate=ledger.KEPT, reason="", **facts
    )


def _make_batches(contents: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    contents = iter(contents)
    while batch := list(itertools.islice(contents, _BATCH_SIZE)):
        yield batch

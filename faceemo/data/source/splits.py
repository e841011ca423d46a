"""Splits made by seed where a source has none: stratified by class, no group of duplicates cut."""

import collections
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from PIL import Image

from faceemo.data.ledger import ledger, near
from faceemo.data.measure import hashing, measure
from faceemo.data.measure.decode import Pixels, decode
from faceemo.errors import UserError

_BATCH = 512  # images whose hashes are made at once


@dataclasses.dataclass(frozen=True)
class Member:
    """An image to be given a split."""

    path: str
    label: str
    group: str  # the same for all images that must stay together


def assign(members: Iterable[Member], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Which images leave train for which split: {path: split}.

    It depends on nothing but the arguments, not on their order. Of each class every split gets its
    share of the images, to within half a group, and at least one image. A group goes as a whole,
    with the class that most of its images have.

    Args:
        members: the images of train.
        shares: split -> share of the images, above 0, together below 1.
        seed: of the choice.

    Raises:
        UserError: if a class has too few groups to leave one in every split.
    """
    groups = collections.defaultdict(list)
    for member in sorted(members, key=lambda member: member.path):
        groups[member.group].append(member)
    by_class = collections.defaultdict(list)
    for group, inside in groups.items():
        labels = collections.Counter(member.label for member in inside)
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
                left = len(names) - len(chosen)
                # one group stays for train, and one for each split still to come
                if left > len(shares) - made and 2 * (share * total - taken) > sizes[name]:
                    chosen.append(name)
                    taken += sizes[name]
            chosen = chosen or [min(names, key=lambda name: sizes[name])]
            names = [name for name in names if name not in set(chosen)]
            moved |= {member.path: split for name in chosen for member in groups[name]}
    return moved


def look_alikes(contents: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """A group for every image, the same where any rules may take two for one: {path: group}.

    Together are equal files, equal hashes and whatever `near.find_likenesses` notes, mirrored or not,
    also by way of a third. The group's name is the least sha256 in it.

    Args:
        contents: path and bytes of each image. In memory stay 48x48 pixels of each.
    """
    rows, shas, greys = [], {}, {}
    for batch in _batches(contents):
        for path, content in batch:
            shas[path] = hashlib.sha256(content).hexdigest()
        files = {path: decode(content).pixels for path, content in batch}
        found = {path: pixels for path, pixels in files.items() if pixels}
        plain = hashing.dhash([pixels.plain_grey for pixels in found.values()])
        mirrored = hashing.dhash([pixels.plain_grey[:, ::-1] for pixels in found.values()])
        for (path, pixels), one, other in zip(found.items(), plain, mirrored, strict=True):
            rows.append(_row(path, pixels, int(one), int(other)))
            grey = Image.fromarray(pixels.grey)
            size = (near.SIDE, near.SIDE)
            greys[path] = np.asarray(grey.resize(size, Image.Resampling.BILINEAR))
    parents = {sha: sha for sha in shas.values()}

    def leader(sha: str) -> str:
        while parents[sha] != sha:
            parents[sha] = sha = parents[parents[sha]]
        return sha

    def join(one: str, other: str) -> None:
        low, high = sorted((leader(shas[one]), leader(shas[other])))
        parents[high] = low

    for field in ("pixels_sha256", "dhash"):
        first: dict[str, str] = {}
        for row in rows:
            join(row.path, first.setdefault(getattr(row, field), row.path))
    shown_by = {row.pixels_sha256: row.path for row in rows}
    for pixels, others in near.find_likenesses(rows, lambda row: greys[row.path]).items():
        for other in others:
            join(shown_by[pixels], other.path)
    return {path: leader(sha) for path, sha in shas.items()}


def _row(path: str, pixels: Pixels, dhash: int, mirrored: int) -> ledger.Row:
    """As much of a ledger's row as tells what is alike."""
    return ledger.Row(
        path=path,
        sha256="",
        bytes=0,
        split="train",
        label="",
        mode=None,
        width=None,
        height=None,
        pixels_sha256=measure.hash_pixels(pixels.grey),
        blank=measure.compute_blankness(pixels.grey),
        dhash=hashing.to_hex(dhash),
        dhash_mirrored=hashing.to_hex(mirrored),
        fate=ledger.KEPT,
        reason="",
    )


def _batches(contents: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    contents = iter(contents)
    while batch := list(itertools.islice(contents, _BATCH)):
        yield batch

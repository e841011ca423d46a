"""Splits made by seed if a source has none: stratified by class, no group of duplicates cut."""

import collections
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

from PIL import Image

from faceemo.data.ledger import ledger, near
from faceemo.data.measure import hashing, measure
from faceemo.data.measure.decode import Pixels, decode, resize_square
from faceemo.errors import UserError

_BATCH_SIZE = 512  # images hashed at once


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


def group_look_alikes(contents: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Groups images that any rules could take for the same photo: {path: group}.

    A group joins equal files, equal hashes and all likenesses of `near.find_likenesses`, mirrored
    or not, also by way of a third image. The group's name is the least sha256 in it.

    Args:
        contents: Path and bytes of each image. Memory holds 48x48 pixels of each.
    """
    rows, shas, greys = [], {}, {}
    for batch in _make_batches(contents):
        for path, content in batch:
            shas[path] = hashlib.sha256(content).hexdigest()
        files = {path: decode(content).pixels for path, content in batch}
        found = {path: pixels for path, pixels in files.items() if pixels}
        plain = hashing.dhash([pixels.grey for pixels in found.values()])
        mirrored = hashing.dhash([pixels.grey[:, ::-1] for pixels in found.values()])
        for (path, pixels), one, other in zip(found.items(), plain, mirrored, strict=True):
            rows.append(_make_row(path, pixels, int(one), int(other)))
            greys[path] = resize_square(Image.fromarray(pixels.grey), near.SIDE)
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
    for pixels, likenesses in near.find_likenesses(rows, lambda row: greys[row.path]).items():
        for likeness in likenesses:
            join(path_of[pixels], likeness.path)
    return {path: find_root(sha) for path, sha in shas.items()}


def _make_row(path: str, pixels: Pixels, dhash: int, mirrored: int) -> ledger.Row:
    """Makes a ledger's row with the fields that `near.find_likenesses` needs."""
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


def _make_batches(contents: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    contents = iter(contents)
    while batch := list(itertools.islice(contents, _BATCH_SIZE)):
        yield batch

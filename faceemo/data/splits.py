"""Splits made by seed where a source has none: stratified by class, no group of duplicates cut."""

import collections
import dataclasses
import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence

import imagehash
from PIL import Image, ImageOps

from faceemo.errors import UserError

NEAR = 2  # bits of dHash between images that may show the same; chained, which errs on one side


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
    """A group for every image, the same where two may show the same: {path: group}.

    Together are equal files, and images whose dHash, or that of their mirror image, differs in at
    most `NEAR` bits, also by way of a third. The group's name is its least sha256.
    """
    shas, hashes, mirrored = {}, {}, {}
    for path, content in contents:
        sha = shas[path] = hashlib.sha256(content).hexdigest()
        if sha in hashes:
            continue
        try:
            with Image.open(io.BytesIO(content)) as image:
                hashes[sha] = _dhash(image)
                mirrored[sha] = _dhash(ImageOps.mirror(image))
        except Exception:  # decoders raise anything; screening books it, here its bytes do
            hashes.pop(sha, None)
    parents = {sha: sha for sha in shas.values()}

    def leader(sha: str) -> str:
        while parents[sha] != sha:
            parents[sha] = sha = parents[parents[sha]]
        return sha

    for one, other in _near([*hashes.items(), *mirrored.items()]):
        low, high = sorted((leader(one), leader(other)))
        parents[high] = low
    return {path: leader(sha) for path, sha in shas.items()}


def _near(hashes: Sequence[tuple[str, int]]) -> Iterable[tuple[str, str]]:
    """The pairs whose hashes differ in at most `NEAR` bits.

    Of NEAR + 1 parts of the bits, such a pair has at least one in common.
    """
    owners = collections.defaultdict(list)
    for sha, value in hashes:
        owners[value].append(sha)
    for same in owners.values():
        yield from itertools.pairwise(same)
    width = -(-64 // (NEAR + 1))
    for part in range(NEAR + 1):
        buckets = collections.defaultdict(list)
        for value in owners:
            buckets[value >> part * width & (1 << width) - 1].append(value)
        for bucket in buckets.values():
            for one, other in itertools.combinations(bucket, 2):
                if (one ^ other).bit_count() <= NEAR:
                    yield owners[one][0], owners[other][0]


def _dhash(image: Image.Image) -> int:
    return int(str(imagehash.dhash(image)), 16)

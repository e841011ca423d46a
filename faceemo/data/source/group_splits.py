"""Splits made by seed that keep the images of a person, or of a photograph, in one of them."""

import collections
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from faceemo.data.source.splits import Member
from faceemo.errors import UserError

_Counts = Mapping[str, int]  # images of a group by class


def join_groups(look_alikes: Mapping[str, str], groups: Mapping[str, str]) -> dict[str, str]:
    """Joins groups of look-alikes that have a person in common: {path: group}.

    Args:
        look_alikes: Group of each image, by path.
        groups: Person or photograph of some of them, by path.

    Returns:
        The group of each image; unchanged where there are no `groups`.
    """
    parents = {group: group for group in look_alikes.values()}

    def find_root(group: str) -> str:
        while parents[group] != group:
            parents[group] = group = parents[parents[group]]
        return group

    first: dict[str, str] = {}
    for path, person in sorted(groups.items()):
        own = look_alikes[path]
        low, high = sorted((find_root(own), find_root(first.setdefault(person, own))))
        parents[high] = low
    return {path: find_root(group) for path, group in look_alikes.items()}


def assign_splits(
    members: Iterable[Member], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Chooses images that leave train for another split, by whole groups: {path: split}.

    Groups come in an order that the seed draws. One goes into a split if that brings the split's
    numbers of images of all classes closer to their shares.

    Args:
        members: All images of train. Their order does not matter.
        shares: Share of the images for each split, above 0, together below 1.
        seed: Seed of the order.

    Raises:
        UserError: If a class has too few groups to leave one in every split.
    """
    images: dict[str, list[Member]] = collections.defaultdict(list)
    for member in sorted(members, key=lambda member: member.path):
        images[member.group].append(member)
    counts = {
        group: collections.Counter(member.label for member in found)
        for group, found in images.items()
    }
    _check_enough(counts.values(), shares)
    # the name of a group is a digest of one of its images
    order = sorted(counts, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).digest())
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    chosen: dict[str, str] = {}
    for made, (split, share) in enumerate(shares.items()):
        left = [group for group in order if group not in chosen]
        # one group of each class stays for train, and one for each split still to come
        found = _choose(left, counts, total, share, reserve=len(shares) - made)
        chosen |= dict.fromkeys(found, split)
        if missing := total.keys() - {label for group in found for label in counts[group]}:
            raise _too_few(min(missing), shares, "too few that can be divided")
    return {member.path: split for group, split in chosen.items() for member in images[group]}


def _choose(
    order: Sequence[str],
    counts: Mapping[str, _Counts],
    total: _Counts,
    share: float,
    reserve: int,
) -> list[str]:
    """Chooses groups for a split and leaves `reserve` groups of every class to the others."""
    remaining = collections.Counter(label for group in order for label in counts[group])
    taken: collections.Counter[str] = collections.Counter()
    result: dict[str, None] = {}

    def take(group: str) -> None:
        result[group] = None
        taken.update(counts[group])
        remaining.subtract(counts[group].keys())

    def spares(group: str) -> bool:
        return all(remaining[label] > reserve for label in counts[group])

    def gain(group: str) -> float:
        """Returns by how much the split comes closer to its share of every class."""
        change = 0.0
        for label, count in counts[group].items():
            missing = share - taken[label] / total[label]
            added = count / total[label]
            change += missing**2 - (missing - added) ** 2
        return change

    # a class with few groups first: later none might be left that the others can spare
    for label in sorted(total, key=lambda label: (remaining[label], label)):
        if not taken[label]:
            possible = [group for group in order if label in counts[group] and spares(group)]
            if possible:
                take(max(possible, key=gain))
    for group in order:
        if group not in result and gain(group) > 0 and spares(group):
            take(group)
    return list(result)


def _check_enough(counts: Iterable[_Counts], shares: Mapping[str, float]) -> None:
    groups = collections.Counter(label for group in counts for label in group)
    for label, number in sorted(groups.items()):
        if number <= len(shares):
            raise _too_few(label, shares, f"{number}")


def _too_few(label: str, shares: Mapping[str, float], found: str) -> UserError:
    return UserError(
        expected=f"images of {label} of at least {len(shares) + 1} persons or photographs in "
        f"train, to make {' and '.join(shares)} from it",
        found=found,
        fix="add images of that class, or leave it out of classes",
    )

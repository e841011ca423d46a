"""From what was measured and the rules to the fate of every image: pure, whatever the order.

policy 'original', as the study had it, over the train and validation images with a face:

- a group with equal dHash whose members disagree on the emotion is dropped whole: nobody knows
  which label is right;
- a group in both splits stays in one: `KEPT_SPLIT`;
- of what is left of a group, the lowest FER row (the file's name as a number) stays.

Test is left alone. Near duplicates and leaks are booked and change nothing.

policy 'strict', over all images with a face and all of test, which stays whole: images that match
(`groups.stars`: same pixels, equal dHash, near, mirrored) form a group around one image, in test if
it can be, else in validation. The others leave; where labels disagree, so does the one, unless it
is in test. Afterwards no two images of different splits match.

policy 'keep' leaves out only what cannot be decoded.
"""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from faceemo.config import SPLITS
from faceemo.data.ledger import groups, ledger
from faceemo.data.ledger.groups import DHASH, KINDS, PIXELS, Place, Twins, row_order
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import KEEP, ORIGINAL, STRICT, Rules

# Where a group that spans both splits keeps its image: the original project's choice; what it
# chose for all its classes but one stands for classes that it did not have.
KEPT_SPLIT = {"happy": "train"}
KEPT_SPLIT_ELSE = "validation"

Verdicts = dict[str, tuple[str, str]]  # path -> fate, reason

_UNJUDGED = {
    field.name: field.default
    for field in dataclasses.fields(Row)
    if field.name.endswith("_group") or field.name.startswith("near_")
} | {"label_conflict": False, "leaks": ()}


def judge_faces(rows: Sequence[Row], rules: Rules) -> list[Row]:
    """`rows` as screening leaves them: kept, no_face or unreadable; nothing on duplicates."""
    judged = []
    for row in rows:
        confidence = row.face_confidence or 0.0
        has_face = not row.problem and confidence > rules.face_threshold
        stays = has_face or rules.policy == KEEP or (rules.policy == STRICT and row.split == "test")
        fate, reason = ledger.KEPT, ""
        if row.problem:
            fate, reason = ledger.UNREADABLE, row.problem
        elif not stays:
            fate = ledger.NO_FACE
            reason = f"best face confidence {confidence:.3f}, not above {rules.face_threshold:g}"
        changes = {"has_face": has_face, "fate": fate, "reason": reason}
        judged.append(dataclasses.replace(row, **_UNJUDGED, **changes))
    return judged


def judge(rows: Sequence[Row], rules: Rules) -> list[Row]:
    """`rows` with all judged fields, in the same order; what was judged before does not matter.

    Groups are those of the images that screening leaves; leaks count all that can be decoded.
    """
    rows = judge_faces(rows, rules)
    left = [row for row in rows if row.fate == ledger.KEPT]
    twins, stars = Twins(left, rules), groups.stars(left, rules)
    verdicts: Verdicts = {}
    if rules.policy == ORIGINAL:
        verdicts = _by_hash(left)
    elif rules.policy == STRICT:
        verdicts = _by_star(left, stars)
    if rules.policy != KEEP:
        verdicts = _suspects(left, rules) | verdicts
    star_labels = collections.defaultdict(set)
    for row in left:
        if row.path in stars:
            star_labels[stars[row.path].centre.path].add(row.label)
    all_twins = Twins(rows, rules)
    judged = []
    for row in rows:
        leaks = set().union(*(all_twins.splits(row, kind) for kind in KINDS))
        changes: dict = {"leaks": tuple(split for split in SPLITS if split in leaks)}
        if row.fate == ledger.KEPT:
            changes |= _grouped(row, twins, stars.get(row.path), star_labels)
            fate, reason = verdicts.get(row.path, (ledger.KEPT, ""))
            changes |= {"fate": fate, "reason": reason}
        judged.append(dataclasses.replace(row, **changes))
    return judged


def _grouped(row: Row, twins: Twins, place: Place | None, star_labels: dict[str, set[str]]) -> dict:
    """The fields of a row that say which groups it is in."""
    pixels, dhash = twins.equals(row, PIXELS), twins.equals(row, DHASH)
    labels = {twin.label for twin in (*pixels, *dhash)}
    changes: dict = {
        "exact_group": row.pixels_sha256 if len(pixels) > 1 else None,
        "duplicate_group": row.dhash if len(dhash) > 1 else None,
    }
    if place:
        labels |= star_labels[place.centre.path]
        changes |= {
            "near_group": place.centre.path,
            "near_distance": place.distance,
            "near_similarity": place.similarity,
            "near_mirrored": place.mirrored,
        }
    return changes | {"label_conflict": len(labels) > 1}


def _by_hash(rows: Iterable[Row]) -> Verdicts:
    """What the policy 'original' leaves out."""
    equal = collections.defaultdict(list)
    for row in rows:
        if row.split in ("train", "validation"):
            equal[row.dhash].append(row)
    verdicts: Verdicts = {}
    for members in equal.values():
        if len(labels := {row.label for row in members}) > 1:
            reason = f"images with this dHash disagree: {_counted(members)}"
            verdicts |= {row.path: (ledger.CONFLICT, reason) for row in members}
            continue
        (label,) = labels
        splits = {row.split for row in members}
        split = KEPT_SPLIT.get(label, KEPT_SPLIT_ELSE) if len(splits) > 1 else splits.pop()
        kept = min(
            (row for row in members if row.split == split), key=lambda row: row_order(row.path)
        )
        reason = f"same dHash as {kept.path}, which is kept"
        verdicts |= {row.path: (ledger.DUPLICATE, reason) for row in members if row is not kept}
    return verdicts


def _by_star(rows: Iterable[Row], stars: dict[str, Place]) -> Verdicts:
    """What the policy 'strict' leaves out."""
    members = collections.defaultdict(list)
    for row in rows:
        if row.path in stars:
            members[stars[row.path].centre.path].append(row)
    verdicts: Verdicts = {}
    for centre, group in members.items():
        disagree = len({row.label for row in group}) > 1
        for row in group:
            if row.split == "test":
                continue
            if disagree:
                reason = f"images that match {centre} disagree: {_counted(group)}"
                verdicts[row.path] = ledger.CONFLICT, reason
            elif row.path != centre:
                reason = f"{_how(row, stars[row.path])} {centre}, which is kept"
                verdicts[row.path] = ledger.DUPLICATE, reason
    return verdicts


def _suspects(rows: Iterable[Row], rules: Rules) -> Verdicts:
    """Train images whose label is too improbable; those that measure a model are not its choice."""
    return {
        row.path: (
            ledger.SUSPECT,
            f"its label has the probability {row.label_score:.3f}, below {rules.suspect_below:g}; "
            f"more likely {row.predicted_label}",
        )
        for row in rows
        if row.split == "train"
        and row.label_score is not None
        and row.label_score < rules.suspect_below
    }


def _counted(rows: Iterable[Row]) -> str:
    """'2 happy, 1 sad'."""
    counts = collections.Counter(row.label for row in rows)
    return ", ".join(f"{counts[label]} {label}" for label in sorted(counts))


def _how(row: Row, place: Place) -> str:
    if row.pixels_sha256 == place.centre.pixels_sha256:
        return "same pixels as"
    if place.similarity is None:
        return "same dHash as"
    mirrored = "mirror image of" if place.mirrored else "near duplicate of"
    return f"{mirrored} (dHash {place.distance} bits apart, similarity {place.similarity:.2f})"

"""Decides the fate of every image from its row and the rules; a pure function of the two.

policy 'original', as the study had it, over the train and validation images with a face:

- a group with equal dHash whose members disagree on the emotion is dropped whole: nobody knows
  which label is right;
- a group in both splits stays in one (`KEPT_SPLIT_BY_CLASS`);
- of the rest of a group, the lowest FER row (the file's name as a number) stays.

Test is left alone. Near duplicates and leaks are recorded and change nothing.

policy 'strict', over all images with a face and all readable test images, which stay: images that
match (`groups.build_groups`: same pixels, equal dHash, near, mirrored) form a group around one
image, in test if possible, otherwise in validation. The others are dropped; if labels disagree,
that one image is dropped too, unless it is in test. Afterwards no two images of different splits
match.

Policies 'original' and 'strict' also drop train images whose label scores below `suspect_below`.

policy 'keep' leaves out only images that cannot be decoded.

Under every policy, targets made from votes leave out the images on which the votes do not agree
(`faceemo.data.votes.counting.find_objection`).
"""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from faceemo.config import SPLITS
from faceemo.data.ledger import groups, ledger
from faceemo.data.ledger.groups import DHASH, KINDS, PIXELS, Membership, Twins, row_sort_key
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import KEEP, ORIGINAL, STRICT, Rules
from faceemo.data.votes import counting

# The split in which a group that spans train and validation keeps its image, as in the original:
# train for happy, validation for its other classes. New classes get the latter.
KEPT_SPLIT_BY_CLASS = {"happy": "train"}
DEFAULT_KEPT_SPLIT = "validation"

Verdicts = dict[str, tuple[str, str]]  # path -> fate, reason

_UNJUDGED = {
    field.name: field.default
    for field in dataclasses.fields(Row)
    if field.name.endswith("_group") or field.name.startswith("near_")
} | {"label_conflict": False, "leaks": ()}


def judge_faces(rows: Sequence[Row], rules: Rules) -> list[Row]:
    """Judges each row by itself: kept, no_face, unreadable, or left out by the votes on it.

    Returns:
        The rows in the same order, with the judged fields on duplicates reset.
    """
    judged = []
    for row in rows:
        confidence = row.face_confidence
        unseen = confidence is None
        has_face = not row.problem and (unseen or confidence > rules.face_threshold)
        stays = has_face or rules.policy == KEEP or (rules.policy == STRICT and row.split == "test")
        fate, reason = ledger.KEPT, ""
        if row.problem:
            fate, reason = ledger.UNREADABLE, row.problem
        elif objection := counting.find_objection(row.votes, row.split, rules.targets):
            fate, reason = ledger.NO_MAJORITY, objection
        elif not stays:
            fate = ledger.NO_FACE
            reason = f"best face confidence {confidence:.3f}, not above {rules.face_threshold:g}"
        changes = {"has_face": has_face, "fate": fate, "reason": reason}
        judged.append(dataclasses.replace(row, **_UNJUDGED, **changes))
    return judged


def judge(rows: Sequence[Row], rules: Rules) -> list[Row]:
    """Fills in all judged fields, whatever they were before.

    Groups are formed among the images kept by `judge_faces`; leaks count all images that can be
    decoded.

    Returns:
        The rows in the same order.
    """
    rows = judge_faces(rows, rules)
    left = [row for row in rows if row.fate == ledger.KEPT]
    twins, memberships = Twins(left, rules), groups.build_groups(left, rules)
    verdicts: Verdicts = {}
    if rules.policy == ORIGINAL:
        verdicts = _drop_equal_hashes(left)
    elif rules.policy == STRICT:
        verdicts = _drop_group_members(left, memberships)
    if rules.policy != KEEP:
        verdicts = _drop_suspects(left, rules) | verdicts
    group_labels = collections.defaultdict(set)
    equal_labels = collections.defaultdict(set)  # by the pixels and by the dHash
    for row in left:
        equal_labels[row.pixels_sha256].add(row.label)
        equal_labels[row.dhash].add(row.label)
        if row.path in memberships:
            group_labels[memberships[row.path].centre.path].add(row.label)
    all_twins = Twins(rows, rules)
    judged = []
    for row in rows:
        leaks = set().union(*(all_twins.other_splits(row, kind) for kind in KINDS))
        changes: dict = {"leaks": tuple(split for split in SPLITS if split in leaks)}
        if row.fate == ledger.KEPT:
            labels = equal_labels[row.pixels_sha256] | equal_labels[row.dhash]
            membership = memberships.get(row.path)
            if membership:
                labels |= group_labels[membership.centre.path]
            changes |= _group_fields(row, twins, membership)
            changes["label_conflict"] = len(labels) > 1
            fate, reason = verdicts.get(row.path, (ledger.KEPT, ""))
            changes |= {"fate": fate, "reason": reason}
        judged.append(dataclasses.replace(row, **changes))
    return judged


def count_kept_by_original(rows: Sequence[Row], rules: Rules) -> int:
    """Counts the images that the policy 'original' would keep, all other rules unchanged."""
    rules = dataclasses.replace(rules, policy=ORIGINAL)
    left = [row for row in judge_faces(rows, rules) if row.fate == ledger.KEPT]
    return len(left) - len(_drop_suspects(left, rules) | _drop_equal_hashes(left))


def _group_fields(row: Row, twins: Twins, membership: Membership | None) -> dict:
    """Returns the fields of a row that name its groups."""
    changes: dict = {
        "exact_group": row.pixels_sha256 if len(twins.equal_rows(row, PIXELS)) > 1 else None,
        "duplicate_group": row.dhash if len(twins.equal_rows(row, DHASH)) > 1 else None,
    }
    if membership:
        changes |= {
            "near_group": membership.centre.path,
            "near_distance": membership.distance,
            "near_similarity": membership.similarity,
            "near_mirrored": membership.mirrored,
        }
    return changes


def _drop_equal_hashes(rows: Iterable[Row]) -> Verdicts:
    """Returns the verdicts of the policy 'original' on the images that it drops."""
    equal = collections.defaultdict(list)
    for row in rows:
        if row.split in ("train", "validation"):
            equal[row.dhash].append(row)
    verdicts: Verdicts = {}
    for members in equal.values():
        if len(labels := {row.label for row in members}) > 1:
            reason = f"images with this dHash disagree: {_format_counts(members)}"
            verdicts |= {row.path: (ledger.CONFLICT, reason) for row in members}
            continue
        (label,) = labels
        splits = {row.split for row in members}
        split = KEPT_SPLIT_BY_CLASS.get(label, DEFAULT_KEPT_SPLIT)
        if len(splits) == 1:
            (split,) = splits
        kept = min(
            (row for row in members if row.split == split), key=lambda row: row_sort_key(row.path)
        )
        reason = f"same dHash as {kept.path}, which is kept"
        verdicts |= {row.path: (ledger.DUPLICATE, reason) for row in members if row is not kept}
    return verdicts


def _drop_group_members(rows: Iterable[Row], memberships: dict[str, Membership]) -> Verdicts:
    """Returns the verdicts of the policy 'strict' on the images that it drops."""
    members = collections.defaultdict(list)
    for row in rows:
        if row.path in memberships:
            members[memberships[row.path].centre.path].append(row)
    verdicts: Verdicts = {}
    for centre, group in members.items():
        disagree = len({row.label for row in group}) > 1
        for row in group:
            if row.split == "test":
                continue
            if disagree:
                reason = f"images that match {centre} disagree: {_format_counts(group)}"
                verdicts[row.path] = ledger.CONFLICT, reason
            elif row.path != centre:
                reason = f"{_describe_match(row, memberships[row.path])} {centre}, which is kept"
                verdicts[row.path] = ledger.DUPLICATE, reason
    return verdicts


def _drop_suspects(rows: Iterable[Row], rules: Rules) -> Verdicts:
    """Returns the verdicts on train images whose label is too improbable.

    Validation and test images stay: a model must not choose the images that measure it.
    """
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


def _format_counts(rows: Iterable[Row]) -> str:
    """Formats the number of rows of each class: '2 happy, 1 sad'."""
    counts = collections.Counter(row.label for row in rows)
    return ", ".join(f"{counts[label]} {label}" for label in sorted(counts))


def _describe_match(row: Row, membership: Membership) -> str:
    """Returns words that the path of the group's centre follows: 'same pixels as'."""
    if row.pixels_sha256 == membership.centre.pixels_sha256:
        return "same pixels as"
    if membership.similarity is None:
        return "same dHash as"
    relation = "mirror image of" if membership.mirrored else "near duplicate of"
    distance, similarity = membership.distance, membership.similarity
    return f"{relation} (dHash {distance} bits apart, similarity {similarity:.2f})"

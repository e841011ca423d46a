"""The rules as properties of random ledgers; groups against a comparison of every pair."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceemo.config import CLASSES, SPLITS
from faceemo.data import groups, ledger, near
from faceemo.data.groups import BYTES, DHASH, MIRRORED, NEAR, PIXELS
from faceemo.data.judge import judge, judge_faces
from faceemo.data.leaks import ANY, PAIRS, count
from faceemo.data.ledger import Likeness
from faceemo.data.rules import POLICIES, Rules
from faceemo.errors import UserError

STRICT = Rules(policy="strict")


def row(split, label, number, dhash="aa", pixels=None, confidence=0.9, **fields):
    return ledger.Row(
        **{
            "path": f"{split}/{label}/{number}.jpg",
            "sha256": f"{split}{label}{number}",
            "bytes": 1,
            "mode": "L",
            "width": 48,
            "height": 48,
            "split": split,
            "label": label,
            "face_confidence": confidence,
            "face_side": 300,
            "blank": 0.1,
            "dhash": dhash,
            "dhash_mirrored": "ff",
            "pixels_sha256": pixels or f"{split}{label}{number}",
            "fate": ledger.KEPT,
            "reason": "",
        }
        | fields
    )


def unreadable(one):
    nothing = dict.fromkeys(("face_confidence", "face_side", "blank", "dhash", "pixels_sha256"))
    return dataclasses.replace(one, **nothing, problem="cut off")


@st.composite
def ledgers(draw):
    """Rows with few hashes and pixels, some likenesses between them, faces and none."""
    rows = draw(
        st.lists(
            st.builds(
                row,
                st.sampled_from(SPLITS),
                st.sampled_from(CLASSES),
                st.integers(0, 99),
                st.sampled_from([f"0{digit}" for digit in "abcdefghijkl"]),
                st.one_of(st.none(), st.sampled_from(["p", "q", "r"])),
                st.sampled_from([0.9] * 6 + [0.2]),
                label_score=st.sampled_from([None, 0.05, 0.8]),
                predicted_label=st.just("sad"),
            ),
            max_size=24,
            unique_by=lambda row: row.path,
        )
    )
    # equal pixels have equal hashes
    rows = [
        dataclasses.replace(one, dhash=f"0{one.pixels_sha256}")
        if one.pixels_sha256 in "pqr"
        else one
        for one in rows
    ]
    rows = [unreadable(one) if draw(st.integers(0, 9)) == 0 else one for one in rows]
    first = {}
    for one in sorted(rows, key=lambda one: one.path):
        if one.pixels_sha256:
            first.setdefault(one.pixels_sha256, one.path)
    similar = {path: [] for path in first.values()}
    for one, other in itertools.combinations(sorted(first.values()), 2):
        if draw(st.integers(0, 3)) == 0:
            similar[other].append(
                Likeness(
                    path=one,
                    distance=draw(st.integers(0, near.FARTHEST)),
                    similarity=draw(st.sampled_from([0.55, 0.69, 0.7, 0.95])),
                    mirrored=draw(st.booleans()),
                )
            )
    return [dataclasses.replace(one, similar=tuple(similar.get(one.path, ()))) for one in rows]


some_rules = st.builds(
    Rules,
    policy=st.sampled_from(POLICIES),
    face_threshold=st.sampled_from([0.1, 0.5]),
    near_distance=st.integers(0, near.FARTHEST),
    near_similarity=st.sampled_from([0.6, 0.7, 0.9]),
    suspect_below=st.sampled_from([0.0, 0.1]),
)


def matches(rows, rules):
    """The kinds in which two rows are twins, by comparing every pair: {(path, path): kinds}."""
    likenesses = {}
    by_path = {one.path: one for one in rows}
    for one in rows:
        for like in one.similar:
            if like.distance <= rules.near_distance and like.similarity >= rules.near_similarity:
                kind = MIRRORED if like.mirrored else NEAR
                if like.path in by_path:
                    ends = one.pixels_sha256, by_path[like.path].pixels_sha256
                    likenesses.setdefault(frozenset(ends), set()).add(kind)
    found = {}
    for a, b in itertools.permutations(rows, 2):
        kinds = set(likenesses.get(frozenset((a.pixels_sha256, b.pixels_sha256)), ()))
        kinds |= {BYTES} if a.sha256 == b.sha256 else set()
        if a.pixels_sha256:
            kinds |= {PIXELS} if a.pixels_sha256 == b.pixels_sha256 else set()
            kinds |= {DHASH} if a.dhash == b.dhash else set()
        if kinds:
            found[a.path, b.path] = kinds
    return found


@settings(max_examples=100, deadline=None)
@given(ledgers(), some_rules, some_rules, st.randoms(use_true_random=False))
def test_pure_and_blind_to_order_and_history(rows, rules, others, shuffler):
    judged = judge(rows, rules)
    assert [one.path for one in judged] == [one.path for one in rows]
    by_path = {one.path: one for one in judged}
    shuffled = shuffler.sample(rows, len(rows))
    assert {one.path: one for one in judge(shuffled, rules)} == by_path
    assert judge(judged, rules) == judged
    assert judge(judge(rows, others), rules) == judged  # a replay
    assert judge(judge_faces(rows, others), rules) == judged


@settings(max_examples=100, deadline=None)
@given(ledgers(), some_rules)
def test_every_row_is_accounted_for(rows, rules):
    for before, after in zip(rows, judge(rows, rules), strict=True):
        assert after.fate in ledger.FATES
        assert bool(after.reason) == (after.fate != ledger.KEPT)
        assert (after.fate == ledger.UNREADABLE) == bool(before.problem)
        assert after.has_face == (
            not before.problem and before.face_confidence > rules.face_threshold
        )
        if rules.policy == "keep":
            assert after.fate in (ledger.KEPT, ledger.UNREADABLE)
        elif not before.problem and not (rules.policy == "strict" and before.split == "test"):
            assert after.has_face == (after.fate != ledger.NO_FACE)


@settings(max_examples=100, deadline=None)
@given(ledgers(), some_rules)
def test_policy_original(rows, rules):
    rules = dataclasses.replace(rules, policy="original", suspect_below=0.0)
    by_hash = {}
    for one in judge(rows, rules):
        if one.has_face and one.split != "test":
            by_hash.setdefault(one.dhash, []).append(one)
        elif one.has_face:
            assert one.fate == ledger.KEPT
    for members in by_hash.values():
        kept = [one for one in members if one.fate == ledger.KEPT]
        labels = {one.label for one in members}
        if len(labels) > 1:
            assert {one.fate for one in members} == {ledger.CONFLICT}
            assert all(one.label_conflict for one in members)
            assert all(label in one.reason for one in members for label in labels)
            continue
        (only,) = kept
        others = [one for one in members if one is not only]
        assert all(one.fate == ledger.DUPLICATE and only.path in one.reason for one in others)
        if {one.split for one in members} == {"train", "validation"}:
            assert only.split == ("train" if only.label == "happy" else "validation")
        number = int(only.path.split("/")[-1].removesuffix(".jpg"))
        for other in others:
            if other.split == only.split:
                assert number < int(other.path.split("/")[-1].removesuffix(".jpg"))


@settings(max_examples=150, deadline=None)
@given(ledgers(), some_rules)
def test_policy_strict(rows, rules):
    rules = dataclasses.replace(rules, policy="strict", suspect_below=0.0)
    judged = {one.path: one for one in judge(rows, rules)}
    twins = matches(judged.values(), rules)
    kept = {path for path, one in judged.items() if one.fate == ledger.KEPT}
    # test is whole
    assert all(
        path in kept for path, one in judged.items() if one.split == "test" and not one.problem
    )
    # of images that match, at most one stays, but for test images among themselves
    for a, b in twins:
        if a in kept and b in kept:
            assert judged[a].split == judged[b].split == "test"
    # nothing leaves without a match
    for path, one in judged.items():
        if one.fate in (ledger.DUPLICATE, ledger.CONFLICT):
            assert any(a == path for a, _ in twins)
    after = count([judged[path] for path in kept], rules)
    assert not any(sum(kinds[ANY].values()) for kinds in after.values())


@settings(max_examples=150, deadline=None)
@given(ledgers(), some_rules)
def test_groups_are_stars(rows, rules):
    judged = {one.path: one for one in judge(rows, rules)}
    twins = matches(judged.values(), rules)
    members = {}
    for one in judged.values():
        if one.near_group:
            members.setdefault(one.near_group, []).append(one)
    for centre, group in members.items():
        assert centre in {one.path for one in group}
        assert len(group) > 1
        labels = {one.label for one in group}
        for one in group:
            if one.path == centre:
                assert (one.near_distance, one.near_similarity) == (0, 1.0)
                continue
            kinds = twins[one.path, centre]  # matches the centre itself
            assert one.near_mirrored <= (MIRRORED in kinds)
            assert one.near_distance <= rules.near_distance
            assert one.near_similarity is None or one.near_similarity >= rules.near_similarity
            if len(labels) > 1:
                assert one.label_conflict
            # the one that stands for a group is of the split that goes first, or older
            rank = ("test", "validation", "train").index
            place = (rank(one.split), groups.row_order(one.path))
            if one.split != "test":
                assert place > (rank(judged[centre].split), groups.row_order(centre))
    if rules.policy == "strict":
        for one in judged.values():
            if one.fate == ledger.DUPLICATE:
                assert judged[one.near_group].fate == ledger.KEPT
                assert one.near_group in one.reason


@settings(max_examples=100, deadline=None)
@given(ledgers(), some_rules)
def test_leaks_match_a_comparison_of_every_pair(rows, rules):
    rows = [
        dataclasses.replace(one, sha256=one.pixels_sha256) if one.pixels_sha256 == "p" else one
        for one in rows
    ]
    twins = matches(rows, rules)
    judged = {one.path: one for one in judge(rows, rules)}
    found = count(rows, rules)
    by_path = {one.path: one for one in rows}
    for one in rows:
        wanted = {by_path[b].split for a, b in twins if a == one.path} - {one.split}
        assert judged[one.path].leaks == tuple(split for split in SPLITS if split in wanted)
    for pair, (searched, other) in PAIRS.items():
        for kind in found[pair]:
            wanted = dict.fromkeys(ledger.classes(rows), 0)
            for one in rows:
                wanted[one.label] += one.split == searched and any(
                    a == one.path and by_path[b].split == other and (kind == ANY or kind in kinds)
                    for (a, b), kinds in twins.items()
                )
            assert found[pair][kind] == wanted


@settings(max_examples=60, deadline=None)
@given(ledgers(), some_rules)
def test_suspects_leave_train_only_and_only_if_asked(rows, rules):
    without = {one.path: one for one in judge(rows, dataclasses.replace(rules, suspect_below=0.0))}
    for one in judge(rows, rules):
        before = without[one.path]
        asked = one.label_score is not None and one.label_score < rules.suspect_below
        leaves = before.fate == ledger.KEPT and one.split == "train" and asked
        leaves &= rules.policy != "keep"
        assert one.fate == (ledger.SUSPECT if leaves else before.fate)
        assert (one.label_score, one.predicted_label) == (
            before.label_score,
            before.predicted_label,
        )


def like(path, distance=1, similarity=0.9, mirrored=False):
    return (Likeness(path=path, distance=distance, similarity=similarity, mirrored=mirrored),)


def fates(rows, rules):
    return {one.path: one.fate for one in judge(rows, rules)}


def test_nothing_is_chained():
    """2 matches 1 and 3, which do not match each other: 3 stays."""
    rows = [
        row("train", "sad", 1, "01"),
        row("train", "sad", 2, "02", similar=like("train/sad/1.jpg")),
        row("train", "sad", 3, "03", similar=like("train/sad/2.jpg")),
    ]
    assert list(fates(rows, STRICT).values()) == ["kept", "duplicate", "kept"]
    assert [one.near_group for one in judge(rows, STRICT)] == ["train/sad/1.jpg"] * 2 + [None]
    assert set(fates(rows, Rules()).values()) == {"kept"}  # near ones change nothing by default


def test_what_leaks_into_test_leaves_even_by_way_of_a_second_test_image():
    """8 and 9 match one each of two test images that match each other."""
    rows = [
        row("test", "sad", 1, "01"),
        row("test", "sad", 2, "02", similar=like("test/sad/1.jpg")),
        row("train", "sad", 8, "08", similar=like("test/sad/1.jpg")),
        row("train", "sad", 9, "09", similar=like("test/sad/2.jpg")),
    ]
    assert list(fates(rows, STRICT).values()) == ["kept", "kept", "duplicate", "duplicate"]
    centres = [one.near_group for one in judge(rows, STRICT)]
    assert centres == [f"test/sad/{number}.jpg" for number in (1, 2, 1, 2)]
    del rows[2]
    assert list(fates(rows, STRICT).values()) == ["kept", "kept", "duplicate"]
    assert judge(rows, STRICT)[2].near_group == "test/sad/2.jpg"


@pytest.mark.parametrize("policy", ["original", "strict"])
def test_an_image_without_a_face_takes_no_part(policy):
    rows = [row("train", "sad", 1, confidence=0.5), row("train", "happy", 2)]
    assert list(fates(rows, Rules(policy=policy)).values()) == ["no_face", "kept"]


def test_test_images_without_a_face():
    rows = [row("test", "sad", 1, confidence=0.1)]
    assert fates(rows, Rules()) == {"test/sad/1.jpg": "no_face"}
    assert fates(rows, STRICT) == {"test/sad/1.jpg": "kept"}


def test_lowest_number_not_first_text():
    rows = [row("train", "sad", number) for number in (10, 9, 100)]
    for policy in ("original", "strict"):
        judged = fates(rows, Rules(policy=policy))
        assert [path for path, fate in judged.items() if fate == "kept"] == ["train/sad/9.jpg"]


def test_row_order():
    wanted = ["2.jpg", "9.jpg", "010.jpg", "10.png", "100.jpg", "a.jpg", "a2.jpg", "a10.jpg",
              "b1c9.jpg", "b1c10.jpg", "²3.jpg"]  # fmt: skip
    paths = [f"train/sad/{name}" for name in wanted]
    for seed in range(5):
        mixed = random.Random(seed).sample(paths, len(paths))
        assert sorted(mixed, key=groups.row_order) == paths


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy", "mild"),
        ("face_threshold", -0.1),
        ("face_threshold", 1.0),
        ("face_threshold", float("nan")),
        ("near_distance", near.FARTHEST + 1),
        ("near_similarity", near.LEAST - 0.01),
        ("suspect_below", 1.0),
    ],
)
def test_rules_out_of_range(field, value):
    with pytest.raises(UserError, match=field):
        Rules(**{field: value})


def test_rules_reach_as_far_as_what_is_measured():
    Rules(near_distance=near.FARTHEST, near_similarity=near.LEAST)

"""Fates under the rules, as properties of random ledgers and in single cases."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceemo.data.ledger import ledger
from faceemo.data.ledger.judge import count_kept_by_original, judge, judge_faces
from faceemo.data.ledger.leaks import ANY_KIND, count_leaks
from faceemo.data.ledger.rules import Rules
from tests.support.data.ledgers import STRICT, face_row, fates, find_matches, ledgers, some_rules


@settings(max_examples=100)
@given(ledgers(), some_rules, some_rules, st.randoms(use_true_random=False))
def test_fates_depend_on_neither_order_nor_earlier_judgements(rows, rules, others, shuffler):
    judged = judge(rows, rules)
    assert [one.path for one in judged] == [one.path for one in rows]
    by_path = {one.path: one for one in judged}
    shuffled = shuffler.sample(rows, len(rows))
    assert {one.path: one for one in judge(shuffled, rules)} == by_path
    assert judge(judged, rules) == judged
    assert judge(judge(rows, others), rules) == judged  # a replay
    assert judge(judge_faces(rows, others), rules) == judged


@settings(max_examples=100)
@given(ledgers(), some_rules)
def test_every_row_has_a_fate_and_a_reason(rows, rules):
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


@settings(max_examples=100)
@given(ledgers(), some_rules)
def test_policy_original_keeps_one_image_of_each_hash(rows, rules):
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


@pytest.mark.slow
@settings(max_examples=300)
@given(ledgers(), some_rules)
def test_policy_strict_keeps_no_match_across_splits(rows, rules):
    rules = dataclasses.replace(rules, policy="strict", suspect_below=0.0)
    judged = {one.path: one for one in judge(rows, rules)}
    twins = find_matches(judged.values(), rules)
    kept = {path for path, one in judged.items() if one.fate == ledger.KEPT}
    # test is whole
    assert all(
        path in kept for path, one in judged.items() if one.split == "test" and not one.problem
    )
    # of images that match, at most one stays, except among test images
    for a, b in twins:
        if a in kept and b in kept:
            assert judged[a].split == judged[b].split == "test"
    # nothing leaves without a match
    for path, one in judged.items():
        if one.fate in (ledger.DUPLICATE, ledger.CONFLICT):
            assert any(a == path for a, _ in twins)
    after = count_leaks([judged[path] for path in kept], rules)
    assert not any(sum(kinds[ANY_KIND].values()) for kinds in after.values())


@settings(max_examples=60)
@given(ledgers(), some_rules)
def test_suspects_leave_only_train_and_only_below_the_threshold(rows, rules):
    without = {one.path: one for one in judge(rows, dataclasses.replace(rules, suspect_below=0.0))}
    for one in judge(rows, rules):
        before = without[one.path]
        improbable = one.label_score is not None and one.label_score < rules.suspect_below
        leaves = before.fate == ledger.KEPT and one.split == "train" and improbable
        leaves &= rules.policy != "keep"
        assert one.fate == (ledger.SUSPECT if leaves else before.fate)
        assert (one.label_score, one.predicted_label) == (
            before.label_score,
            before.predicted_label,
        )


@settings(max_examples=50)
@given(ledgers(), some_rules)
def test_images_kept_by_the_study_are_counted_under_any_policy(rows, rules):
    original = dataclasses.replace(rules, policy="original")
    expected = sum(one.fate == ledger.KEPT for one in judge(rows, original))
    assert count_kept_by_original(judge(rows, rules), rules) == expected


@pytest.mark.parametrize("policy", ["original", "strict"])
def test_an_image_without_a_face_joins_no_group(policy):
    rows = [face_row("train", "sad", 1, confidence=0.5), face_row("train", "happy", 2)]
    assert list(fates(rows, Rules(policy=policy)).values()) == ["no_face", "kept"]


def test_policy_strict_keeps_test_images_without_a_face():
    rows = [face_row("test", "sad", 1, confidence=0.1)]
    assert fates(rows, Rules(policy="original")) == {"test/sad/1.jpg": "no_face"}
    assert fates(rows, STRICT) == {"test/sad/1.jpg": "kept"}
    assert Rules() == STRICT, "the default"


def test_the_lowest_number_is_kept_not_the_first_text():
    rows = [face_row("train", "sad", number) for number in (10, 9, 100)]
    for policy in ("original", "strict"):
        judged = fates(rows, Rules(policy=policy))
        assert [path for path, fate in judged.items() if fate == "kept"] == ["train/sad/9.jpg"]

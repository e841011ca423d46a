"""Groups: all images match the centre, none is chained; the sort key of rows."""

import random

import pytest
from hypothesis import given, settings

from faceemo.data.ledger import groups, ledger
from faceemo.data.ledger.groups import MIRRORED
from faceemo.data.ledger.judge import judge
from faceemo.data.ledger.rules import Rules
from tests.support.data.ledgers import STRICT, face_row, fates, find_matches, ledgers, some_rules
from tests.support.data.likeness import alike


@pytest.mark.slow
@settings(max_examples=300)
@given(ledgers(), some_rules)
def test_all_images_of_a_group_match_its_centre(rows, rules):
    judged = {one.path: one for one in judge(rows, rules)}
    twins = find_matches(judged.values(), rules)
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
            # the centre comes from the split with the higher priority, or has the lower row
            rank = ("test", "validation", "train").index
            key = (rank(one.split), groups.row_sort_key(one.path))
            if one.split != "test":
                assert key > (rank(judged[centre].split), groups.row_sort_key(centre))
    if rules.policy == "strict":
        for one in judged.values():
            if one.fate == ledger.DUPLICATE:
                assert one.near_group is not None
                assert judged[one.near_group].fate == ledger.KEPT
                assert one.reason is not None
                assert one.near_group in one.reason


def test_nothing_is_chained():
    """2 matches 1 and 3, which do not match each other: 3 stays."""
    rows = alike(
        [
            face_row("train", "sad", 1, "01"),
            face_row("train", "sad", 2, "02"),
            face_row("train", "sad", 3, "03"),
        ],
        [
            ("train/sad/1.jpg", "train/sad/2.jpg", 1, 0.9, False),
            ("train/sad/2.jpg", "train/sad/3.jpg", 1, 0.9, False),
        ],
    )
    assert list(fates(rows, STRICT).values()) == ["kept", "duplicate", "kept"]
    assert [one.near_group for one in judge(rows, STRICT)] == ["train/sad/1.jpg"] * 2 + [None]
    assert set(fates(rows, Rules(policy="original")).values()) == {
        "kept"
    }  # which ignores near ones


def test_rows_sort_by_number_then_naturally():
    expected = ["2.jpg", "9.jpg", "010.jpg", "10.png", "100.jpg", "a.jpg", "a2.jpg", "a10.jpg",
              "b1c9.jpg", "b1c10.jpg", "²3.jpg"]  # fmt: skip
    paths = [f"train/sad/{name}" for name in expected]
    for seed in range(5):
        mixed = random.Random(seed).sample(paths, len(paths))
        assert sorted(mixed, key=groups.row_sort_key) == paths

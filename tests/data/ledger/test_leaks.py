"""Leaks between the splits against a comparison of every pair, and indirect ones."""

import dataclasses

from hypothesis import given, settings

from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.ledger.groups import NEAR
from faceemo.data.ledger.judge import judge
from faceemo.data.ledger.leaks import ANY_KIND, SPLIT_PAIRS, count_leaks
from faceemo.data.ledger.rules import Rules
from tests.support.data.ledgers import (
    STRICT,
    face_row,
    fates,
    find_matches,
    ledgers,
    some_rules,
    unreadable,
)
from tests.support.data.likeness import alike


@settings(max_examples=100)
@given(ledgers(), some_rules)
def test_leaks_match_a_comparison_of_every_pair(rows, rules):
    rows = [
        dataclasses.replace(one, sha256=one.pixels_sha256) if one.pixels_sha256 == "p" else one
        for one in rows
    ]
    twins = find_matches(rows, rules)
    judged = {one.path: one for one in judge(rows, rules)}
    found = count_leaks(rows, rules)
    by_path = {one.path: one for one in rows}
    for one in rows:
        expected = {by_path[b].split for a, b in twins if a == one.path} - {one.split}
        assert judged[one.path].leaks == tuple(split for split in SPLITS if split in expected)
    for pair, (searched, other) in SPLIT_PAIRS.items():
        for kind in found[pair]:
            expected = dict.fromkeys(ledger.list_classes(rows), 0)
            for one in rows:
                expected[one.label] += one.split == searched and any(
                    a == one.path
                    and by_path[b].split == other
                    and (kind == ANY_KIND or kind in kinds)
                    for (a, b), kinds in twins.items()
                )
            assert found[pair][kind] == expected


def test_twins_of_test_images_are_dropped_even_if_the_test_images_match():
    """8 and 9 match one each of two test images that match each other."""
    rows = alike(
        [
            face_row("test", "sad", 1, "01"),
            face_row("test", "sad", 2, "02"),
            face_row("train", "sad", 8, "08"),
            face_row("train", "sad", 9, "09"),
        ],
        [
            ("test/sad/1.jpg", "test/sad/2.jpg", 1, 0.9, False),
            ("test/sad/1.jpg", "train/sad/8.jpg", 1, 0.9, False),
            ("test/sad/2.jpg", "train/sad/9.jpg", 1, 0.9, True),
        ],
    )
    assert list(fates(rows, STRICT).values()) == ["kept", "kept", "duplicate", "duplicate"]
    centres = [one.near_group for one in judge(rows, STRICT)]
    assert centres == [f"test/sad/{number}.jpg" for number in (1, 2, 1, 2)]
    del rows[2]
    assert list(fates(rows, STRICT).values()) == ["kept", "kept", "duplicate"]
    assert judge(rows, STRICT)[2].near_group == "test/sad/2.jpg"


def test_a_likeness_outlives_other_images_with_the_same_pixels():
    """One of two files with the same pixels is dropped; an image near to both still leaks."""
    rows = alike(
        [
            face_row("train", "sad", 1, "01", "p", confidence=0.2),
            face_row("train", "sad", 2, "01", "p"),
            face_row("validation", "sad", 3, "03"),
        ],
        [("train/sad/1.jpg", "validation/sad/3.jpg", 1, 0.9, False)],
    )
    assert list(fates(rows, STRICT).values()) == ["no_face", "duplicate", "kept"]
    kept = [one for one in judge(rows, Rules(policy="original")) if one.fate == ledger.KEPT]
    assert [one.path for one in kept] == ["train/sad/2.jpg", "validation/sad/3.jpg"]
    assert count_leaks(kept, Rules())["validation in train"][NEAR] == {"sad": 1}


def test_equal_files_that_cannot_be_decoded_are_no_leak():
    rows = [
        unreadable(face_row(split, "sad", 1, sha256="empty")) for split in ("train", "validation")
    ]
    found = count_leaks(rows, Rules())
    assert not any(sum(labels.values()) for kinds in found.values() for labels in kinds.values())
    assert not any(one.leaks for one in judge(rows, Rules()))

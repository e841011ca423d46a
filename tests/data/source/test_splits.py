"""Splits made by seed: stratified, by whole groups, whatever the order of the images."""

import collections
import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from faceemo.config import CLASSES
from faceemo.data.measure import thumbnails
from faceemo.data.sample import draw_face
from faceemo.data.source import splits
from faceemo.data.source.splits import Member
from faceemo.errors import UserError

SHARES = {"validation": 0.1}


def members(sizes, label="happy"):
    """Makes one member per image of groups of these sizes."""
    return [
        Member(f"{label}/{group}-{i}.jpg", label, f"{label} {group}")
        for group, size in enumerate(sizes)
        for i in range(size)
    ]


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(CLASSES),
        st.lists(st.integers(1, 6), min_size=4, max_size=60),
        min_size=1,
    ),
    st.sampled_from([SHARES, {"validation": 0.25, "test": 0.1}, {"test": 0.4}]),
    st.integers(0, 100),
    st.randoms(),
)
def test_whole_groups_move_in_proportion_whatever_the_order(sizes, shares, seed, order):
    everything = [m for label, groups in sizes.items() for m in members(groups, label)]
    moved = splits.assign_splits(everything, shares, seed)
    shuffled = everything[:]
    order.shuffle(shuffled)
    assert splits.assign_splits(shuffled, shares, seed) == moved
    splits_of = collections.defaultdict(set)
    for member in everything:
        splits_of[member.group].add(moved.get(member.path, "train"))
    assert all(len(found) == 1 for found in splits_of.values())
    for label, groups in sizes.items():
        got = collections.Counter(
            moved.get(m.path, "train") for m in everything if m.label == label
        )
        assert got["train"] > 0
        for split, share in shares.items():
            assert got[split] > 0
            # unless groups had to be kept back for the others
            if len(groups) > 20:
                assert abs(got[split] - share * sum(groups)) <= max(groups) / 2 + 0.5


def test_the_choice_depends_on_the_seed_and_not_on_names():
    everything = members([1] * 1000)
    first, second = (splits.assign_splits(everything, SHARES, seed) for seed in (1, 2))
    assert len(first) == len(second) == 100
    # two independent tenths share a tenth of their members
    assert 1 <= len(first.keys() & second.keys()) <= 25
    low = sum(int(path.split("/")[1].split("-")[0]) < 500 for path in first)
    assert 30 < low < 70


def test_a_group_of_two_labels_stays_together():
    mixed = [Member("sad/x.jpg", "sad", "g"), Member("happy/x.jpg", "happy", "g")]
    everything = members([1] * 30, "happy") + members([1] * 30, "sad") + mixed
    outcomes = {
        tuple(
            splits.assign_splits(everything, {"validation": 0.5}, seed).get(m.path) for m in mixed
        )
        for seed in range(12)
    }
    assert outcomes == {(None, None), ("validation", "validation")}


def test_too_few_groups_are_a_user_error():
    with pytest.raises(UserError, match="at least 2 different images of sad in train"):
        splits.assign_splits(members([1, 1]) + members([5], "sad"), SHARES, 0)
    assert len(splits.assign_splits(members([1, 9]), SHARES, 0)) == 1


def jpeg(image, quality=92):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def face(seed):
    return Image.fromarray(draw_face.draw_face(np.random.default_rng(seed), CLASSES[seed % 4]))


def test_look_alikes_are_found():
    bright = Image.fromarray((np.asarray(face(3)) * 0.97).astype(np.uint8))
    contents = {f"{seed}.jpg": jpeg(face(seed)) for seed in range(40)} | {
        "copy.jpg": jpeg(face(1)),
        "mirror.jpg": jpeg(ImageOps.mirror(face(2))),
        "bright.jpg": jpeg(bright, 80),
        "cut.jpg": jpeg(face(5))[:300],
        "cut too.jpg": jpeg(face(5))[:300],
        "text.jpg": b"no image",
    }
    groups = splits.group_look_alikes(contents.items())
    together = collections.defaultdict(set)
    for path, group in groups.items():
        together[group].add(path)
    assert {frozenset(found) for found in together.values() if len(found) > 1} == {
        frozenset({"1.jpg", "copy.jpg"}),
        frozenset({"2.jpg", "mirror.jpg"}),
        frozenset({"3.jpg", "bright.jpg"}),
        frozenset({"cut.jpg", "cut too.jpg"}),
    }
    shuffled = random.Random(0).sample(sorted(contents.items()), len(contents))
    assert splits.group_look_alikes(shuffled) == groups


def test_look_alikes_of_a_killed_search_are_not_decoded_again(tmp_path, monkeypatch):
    contents = {f"{seed}.jpg": jpeg(face(seed)) for seed in range(30)}
    contents |= {"copy.jpg": jpeg(face(1), 80), "text.jpg": b"no image"}
    expected = splits.group_look_alikes(contents.items())
    monkeypatch.setattr(splits, "_BATCH_SIZE", 10)
    monkeypatch.setattr(splits, "_PART_SIZE", 5)
    decode, decoded = splits.decode, []

    def recording(content):
        decoded.append(content)
        return decode(content)

    monkeypatch.setattr(splits, "decode", recording)

    def dying():
        yield from list(contents.items())[:25]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        splits.group_look_alikes(dying(), tmp_path)
    assert len(decoded) == 20  # two whole batches
    assert splits.group_look_alikes(contents.items(), tmp_path) == expected
    assert len(decoded) == len(contents)
    (tmp_path / thumbnails.NAME).unlink()  # as a preparation does at its end
    assert splits.group_look_alikes(contents.items(), tmp_path) == expected

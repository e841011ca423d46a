"""Search for small faces: tiles that cover a photo, scales without gaps, each face once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceemo.data.measure import face_search, small_faces
from faceemo.data.measure.boxes import box_iou
from tests.data.measure.test_face_search import scene

_SIDE = 48


@pytest.fixture(scope="module")
def finder():
    return face_search.FaceSearch()


@given(st.integers(1, 400).map(lambda steps: 32 * steps))
def test_tiles_cover_a_side_and_share_enough_to_show_a_face_whole(length):
    starts, tile = small_faces.split(length)
    assert tile % 32 == 0
    assert tile <= min(1024, length)
    assert (starts[0], starts[-1] + tile) == (0, length)
    assert all(start + tile - after >= 128 for start, after in itertools.pairwise(starts))


@given(st.floats(16, 500), st.floats(0.01, 3))
def test_scales_leave_no_height_between_them(min_face, searched):
    scales = small_faces.list_scales(min_face, searched, 10_000)
    assert all(scale > searched for scale in scales)
    # 32 pixels of the input at the finest scale; 128 pixels are the most that tiles share
    if min_face * searched < 32:
        assert scales[0] * min_face == pytest.approx(32)
        heights = [32 / scale for scale in (*scales, max(searched, scales[-1] / 4))]
        for scale, following in zip(scales, heights[1:], strict=True):
            assert following * scale <= 128 * (1 + 1e-9)
    else:
        assert scales == []


def test_a_strip_too_narrow_for_half_a_face_is_not_searched():
    """A PNG of 16 KB can hold a row of 16 million pixels, which would be 12,000 tiles."""
    assert small_faces.list_scales(48, 0.01, 23) == []
    assert len(small_faces.list_scales(48, 0.01, 24)) == 1


def test_faces_as_small_as_training_crops_are_found_once_each(finder):
    """In tiles of 736 pixels that begin at 0 and 640; some faces lie across their edges."""
    lefts = [30, 200, 380, 560, 900, 945, 1010, 1075, 1300, 1500, 1700, 1900]
    places = [(left, 40 + 90 * (index % 3), 64) for index, left in enumerate(lefts)]
    photo = scene((320, 2000), places)
    whole_only = finder.search(photo, 0.5, 200)
    assert len(whole_only) < len(places), "the passes over the whole photo find them all"
    found = finder.search(photo, 0.5, _SIDE)
    for left, top, side in places:
        hits = [
            one for one in found if box_iou(one.box, (left, top, left + side, top + side)) > 0.4
        ]
        assert len(hits) == 1
        assert hits[0].confidence > 0.5
    assert len(found) == len(places)
    assert [one.box[0] for one in found] == sorted(one.box[0] for one in found)
    assert set(whole_only) <= set(found), "a search in tiles changed another box"


def test_a_face_that_both_passes_find_keeps_the_box_of_the_whole_photo(finder):
    photo = scene((700, 1600), [(500, 60, 580)])
    assert finder.search(photo, 0.5, _SIDE) == finder.search(photo, 0.5, 600)


def test_textures_have_no_faces(finder):
    rng = np.random.default_rng(0)
    for cells in ((7, 32), (56, 256), (448, 2048)):
        rough = rng.integers(0, 256, (*cells, 3)).astype(np.uint8)
        size = 448 // cells[0]
        assert finder.search(rough.repeat(size, axis=0).repeat(size, axis=1), 0.5, _SIDE) == []


def test_a_candidate_without_a_face_is_not_confirmed():
    photo = scene((200, 200), [(60, 60, 60)])
    network = face_search.FaceSearch()._networks._make()["any"]
    face_box, beside = (60, 60, 120, 120), (0, 130, 60, 190)
    (confirmed,) = small_faces.confirm(network, photo, [beside, face_box], 0.5)
    assert box_iou(confirmed.box, face_box) > 0.5
    assert list(small_faces.confirm(network, photo, [beside, face_box], 0.9999999)) == []


def test_boxes_that_no_photo_shows_are_no_candidates(monkeypatch):
    """In a strip the network reports boxes as long as a tile, and squares around them are huge."""
    boxes = {"strip": (10, 0, 900, 90), "face": (100, 10, 160, 85), "wider": (5, 5, 400, 200)}

    def report_boxes(network, tiles, size, above):
        assert above <= 0.5
        return [(0, 0.9, tuple(map(float, box))) for box in boxes.values()]

    monkeypatch.setattr(small_faces.face_detector, "forward", report_boxes)
    strip = np.zeros((96, 992, 3), np.uint8)
    (found,) = small_faces.find_candidates(None, strip, 1.0, 0.5)  # pyright: ignore
    assert found == boxes["face"]

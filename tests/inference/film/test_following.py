"""Films: which frames are searched, and that faces are found in time and followed in between."""

import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo.commands import cli
from faceemo.data.measure.boxes import Detection, box_iou
from faceemo.data.measure.decode import Pixels
from faceemo.errors import UserError
from faceemo.inference import predict_files
from faceemo.inference.film.following import FaceFollower
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.predictor import Predictor
from tests.support.data.faces import face

FPS = 25


def make_frame(number, faces, film="film.mp4", shade=128):
    """A frame of 640 by 480 pixels; faces are (seed, left, top, side)."""
    pixels = np.full((480, 640), shade, np.uint8)
    for seed, left, top, side in faces:
        inside = pixels[top : top + side, left : left + side]
        inside[:] = face(seed, side)[:, : inside.shape[1]]
    loaded = Pixels.from_image(Image.fromarray(pixels))
    return LoadedImage(number, f"{film}#{number}", loaded, "", number / FPS)


@pytest.fixture
def follow(predictor):
    """Follows faces through frames: `follow(frames, interval)` -> faces and frames searched."""

    def run(frames, interval=0.2):
        searched = []

        def search(image):
            searched.append(image.index)
            return predictor.find_faces(image)

        follower = FaceFollower(predictor.finder, search, interval)
        return [follower.find(image) for image in frames], searched

    return run


def overlaps(faces, places):
    """Whether the faces are at the places, (left, top, side), from left to right."""
    return len(faces) == len(places) and all(
        box_iou(one.box, (left, top, left + side, top + side)) > 0.45
        for one, (left, top, side) in zip(faces, places, strict=True)
    )


def test_a_frame_is_searched_after_each_interval(follow):
    frames = [make_frame(number, [(1, 100 + 2 * number, 150, 150)]) for number in range(12)]
    for interval, expected in ((0.2, [0, 5, 10]), (0.4, [0, 10]), (0.0, list(range(12)))):
        found, searched = follow(frames, interval)
        assert searched == expected
        for number, faces in enumerate(found):
            assert overlaps(faces, [(100 + 2 * number, 150, 150)])


def test_frames_that_are_further_apart_are_all_searched(follow):
    frames = [
        dataclasses.replace(make_frame(number, [(1, 100, 150, 150)]), time=number / 4)
        for number in range(4)
    ]
    assert follow(frames)[1] == [0, 1, 2, 3]


def test_a_face_that_stands_still_has_one_box_and_keeps_what_the_search_said_of_it(follow):
    frames = [make_frame(number, [(1, 100, 150, 150), (2, 400, 150, 170)]) for number in range(5)]
    found, searched = follow(frames)
    assert searched == [0]
    for faces in found[1:]:
        for one, first in zip(faces, found[0], strict=True):
            np.testing.assert_allclose(one.box, first.box, atol=0.02)
            assert (one.confidence, one.doubt) == (first.confidence, first.doubt)
            np.testing.assert_array_equal(one.crop, first.crop)


def test_faces_that_move_and_grow_are_followed_from_left_to_right(follow):
    """Two faces pass each other; one comes nearer by a tenth in each frame."""
    places = [
        [(1, 40 + 34 * number, 20, 110), (4, 420 - 34 * number, 260, int(100 * 1.1**number))]
        for number in range(7)
    ]
    frames = [make_frame(number, faces) for number, faces in enumerate(places)]
    found, searched = follow(frames, interval=1.0)
    assert searched == [0]
    for faces, expected in zip(found, places, strict=True):
        assert overlaps(faces, sorted((left, top, side) for _, left, top, side in expected))


def test_the_boxes_of_a_moving_face_are_about_those_of_searches(follow):
    frames = [
        make_frame(number, [(1, 60 + 14 * number, 100 + 9 * number, 160)]) for number in range(15)
    ]
    expected, searched = follow(frames, interval=0)
    assert len(searched) == 15
    found, searched = follow(frames)
    assert searched == [0, 5, 10]
    ious = [box_iou(one.box, other.box) for (one,), (other,) in zip(found, expected, strict=True)]
    assert min(ious) > 0.8
    assert np.mean(ious) > 0.9


@pytest.mark.parametrize("appears", range(1, 6))
def test_a_face_that_appears_is_found_within_the_interval(follow, appears):
    first, second = (1, 60, 150, 150), (2, 400, 150, 150)
    frames = [
        make_frame(number, [first, second] if number >= appears else [first])
        for number in range(11)
    ]
    found, _ = follow(frames)
    counts = [len(faces) for faces in found]
    late = counts.index(2) - appears
    assert 0 <= late < 0.2 * FPS
    assert counts == sorted(counts)  # it stays


def test_a_face_that_appears_in_empty_frames_is_found_within_the_interval(follow):
    frames = [make_frame(number, [(1, 60, 150, 150)] if number >= 3 else []) for number in range(7)]
    found, searched = follow(frames)
    assert searched == [0, 5]
    assert [len(faces) for faces in found] == [0, 0, 0, 0, 0, 1, 1]


def test_a_face_that_leaves_is_missing_at_once(follow):
    first, second = (1, 60, 150, 150), (2, 400, 150, 150)
    frames = [make_frame(number, [first, second] if number < 3 else [first]) for number in range(5)]
    found, searched = follow(frames)
    assert searched == [0, 3]
    assert [len(faces) for faces in found] == [2, 2, 2, 1, 1]


def test_a_face_is_followed_until_half_of_it_has_left_the_frame(follow, predictor, monkeypatch):
    """The detector may find it in the pixels that are repeated beyond the edge."""
    frames = [make_frame(number, [(5, 440, 150, 150)]) for number in range(12)]
    ((first,),), _ = follow(frames[:1])
    left, top, right, bottom = first.box
    steps = iter(range(99))  # the first look is at the frame that was searched

    def look_again(pixels, boxes):
        x = 20 * next(steps)
        return [Detection(0.9, (left + x, top, right + x, bottom), 120)]

    monkeypatch.setattr(predictor.finder, "look_again", look_again)
    found, searched = follow(frames, interval=9.0)
    inside = [(640 - left - 20 * number) / (right - left) for number in range(12)]
    end = next(number for number in range(12) if inside[number] < 0.5)
    assert searched[:2] == [0, end]
    assert 640 - left > 20 * (end - 1) > 640 - right  # it was partly outside
    for number in range(1, end):
        (one,) = found[number]
        x = 20 * number
        np.testing.assert_allclose(one.box, (left + x, top, min(right + x, 640), bottom), atol=0.02)


def test_a_face_that_enters_the_frame_has_the_boxes_of_searches(follow):
    frames = [make_frame(number, [(5, 560 - 20 * number, 150, 150)]) for number in range(8)]
    expected, _ = follow(frames, interval=0)
    found, searched = follow(frames, interval=1.0)
    assert len(searched) < 6
    for faces, others in zip(found, expected, strict=True):
        for one, other in zip(faces, others, strict=False):
            assert box_iou(one.box, other.box) > 0.75


def test_a_face_that_jumps_is_searched_for(follow):
    frames = [make_frame(number, [(1, 60 if number < 2 else 440, 150, 150)]) for number in range(4)]
    found, searched = follow(frames)
    assert searched == [0, 2]
    assert overlaps(found[2], [(440, 150, 150)])


def test_a_cut_is_searched_although_a_face_is_where_one_was(follow):
    first, second = (1, 60, 150, 150), (2, 400, 150, 150)
    frames = [
        make_frame(number, [first] if number < 2 else [first, second], shade=80 + 90 * (number > 1))
        for number in range(4)
    ]
    found, searched = follow(frames)
    assert searched == [0, 2]
    assert [len(faces) for faces in found] == [1, 1, 2, 2]


def test_a_film_begins_with_a_search(follow):
    frames = [
        make_frame(number, [(1, 60, 150, 150)], film)
        for film in ("a.mp4", "b.mp4", "b.mp4")
        for number in range(2)
    ]
    found, searched = follow(frames)
    assert searched == [0, 0, 0]
    assert all(len(faces) == 1 for faces in found)


def test_a_face_that_fills_the_frame_is_taken_whole_in_each(follow):
    pixels = Pixels.from_image(Image.fromarray(face(1, 200)))
    frames = [
        LoadedImage(number, f"near.mp4#{number}", pixels, "", number / FPS) for number in range(3)
    ]
    found, searched = follow(frames)
    assert searched == [0, 1, 2]
    assert all(one.region == (0, 0, 200, 200) for (one,) in found)


def test_a_face_that_blurs_is_doubted_in_that_very_frame(follow):
    sharp = make_frame(0, [(5, 60, 150, 150)])
    assert sharp.pixels is not None
    blurred = cv2.GaussianBlur(sharp.pixels.grey, (0, 0), 5)
    pixels = Pixels.from_image(Image.fromarray(blurred))
    frames = [sharp, LoadedImage(1, "film.mp4#1", pixels, "", 1 / FPS)]
    ((first,), (second,)), searched = follow(frames)
    assert searched == [0]
    assert "blurred" not in first.doubt
    assert "blurred" in second.doubt


def test_an_interval_below_nothing_is_refused(predictor, capsys):
    for interval in (-0.1, float("nan")):
        with pytest.raises(UserError, match="search_interval of at least 0"):
            Predictor(predictor.network, search_interval=interval)
    with pytest.raises(SystemExit):
        cli.main(["predict", "builtin", "film.mp4", "--search-interval", "-1"])
    assert "--search-interval" in capsys.readouterr().err


def test_the_interval_reaches_the_search(predictor, film, monkeypatch):
    searched = []
    find = Predictor.find_faces

    def note_and_find(self, image, **options):
        searched.append(image.index)
        return find(self, image, **options)

    monkeypatch.setattr(Predictor, "find_faces", note_and_find)
    for interval, expected in ((0.0, list(range(40))), (0.5, list(range(0, 40, 5)))):
        searched.clear()
        one = Predictor(predictor.network, search_interval=interval)
        assert len(one.predict(film)) == 40
        assert searched == expected


def test_the_option_reaches_the_predictor(film, predictor, monkeypatch, capsys):
    given = {}
    monkeypatch.setattr(
        predict_files, "load", lambda _, **options: given.update(options) or predictor
    )
    for words, expected in (([], 0.2), (["--search-interval", "0"], 0.0)):
        assert cli.main(["predict", "run", str(film), "--crops", *words]) == 0
        assert given["search_interval"] == expected

"""Tests of the identity of faces over frames: paths that are known, crossings, gaps, re-entry."""

import itertools

import numpy as np
import pytest
from PIL import Image

from faceemo.data.measure.boxes import box_iou, show_one_face
from faceemo.data.measure.decode import Pixels
from faceemo.inference.film.tracking import Tracker, assign, track_films
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction

SIDE = 100


def at(x, y=0.0, side=SIDE):
    return (x, y, x + side, y + side)


def follow(paths, fps=25, seconds=4.0, noise=0.0, seed=0):
    """Tracks faces; returns the number that each one gets in each frame, None if it is unseen.

    As by the detector, of two faces that overlap too much only the one in front is seen.

    Args:
        paths: A function of the time for each face, in front first: a box, or None.
        noise: Standard deviation of the error of each edge, pixels.
    """
    rng, tracker = np.random.default_rng(seed), Tracker()
    found = [[] for _ in paths]
    for frame in range(round(fps * seconds)):
        boxes = {}
        for face, path in enumerate(paths):
            box = path(frame / fps)
            if box and not any(show_one_face(box, other) for other in boxes.values()):
                boxes[face] = tuple(np.add(box, rng.normal(0, noise, 4)).tolist())
        order = rng.permutation(list(boxes)).tolist() if boxes else []
        given = tracker.update(frame / fps, [boxes[face] for face in order])
        numbers = dict(zip(order, given, strict=True))
        for face, row in enumerate(found):
            row.append(numbers.get(face))
    return found


def seen(numbers):
    """The different numbers of one face, in the order of their first frames."""
    return list(dict.fromkeys(one for one in numbers if one is not None))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("speed", [100, 160, 300])
def test_crossing_faces_keep_their_numbers(speed, seed):
    """The one behind is unseen for a while; both go on as before."""
    front, behind = follow(
        [lambda t: at(speed * t), lambda t: at(600 - speed * t, 10)],
        seconds=600 / speed,
        noise=1.5,
        seed=seed,
    )
    assert None in behind, "they overlap at some time"
    assert None not in front
    assert len(seen(front)) == len(seen(behind)) == 1
    assert seen(front) != seen(behind)


@pytest.mark.parametrize("speed", [150, 250, 400])
def test_a_face_that_passes_behind_another_keeps_its_number(speed):
    """It comes out far from where it was last seen: its speed says where to expect it."""
    front, behind = follow([lambda t: at(300), lambda t: at(speed * t, 10)], noise=1.5)
    assert behind.count(None) > 3
    assert [seen(front), seen(behind)] == [[1], [2]]


@pytest.mark.parametrize("speed", [80, 110, 250])
def test_a_face_that_is_covered_bit_by_bit_keeps_its_number(speed):
    """Its box shrinks before it vanishes, as if it slowed down, and comes back small."""
    tracker, found = Tracker(), []
    for time in np.arange(0, 4, 0.08):
        left = max(speed * time, 0)
        # a pillar from 250 to 310: what it covers is not in the box
        parts = [(left, min(left + SIDE, 250.0)), (max(left, 310.0), left + SIDE)]
        parts = [part for part in parts if part[1] - part[0] > 0.5 * SIDE]
        boxes = [(start, 0.0, end, float(SIDE)) for start, end in parts]
        found.append(tracker.update(float(time), boxes))
    assert [] in found[1:-1], "it is unseen for a while"
    assert {number for numbers in found for number in numbers} == {1}


def test_faces_that_pass_each_other_side_by_side_keep_their_numbers():
    """Their boxes overlap, but both are always seen."""
    one, other = follow([lambda t: at(150 * t), lambda t: at(600 - 150 * t, 60)])
    assert None not in (*one, *other)
    assert [seen(one), seen(other)] == [[one[0]], [other[0]]]


def test_fast_faces_are_found_where_their_speed_takes_them():
    """From frame to frame a box overlaps its predecessor too little, once it is fast."""
    (numbers,) = follow([lambda t: at(400 * t * t)], fps=5, seconds=3)
    assert box_iou(at(0), at(400 * (2.8**2 - 2.6**2))) == 0
    assert seen(numbers) == [1]


@pytest.mark.parametrize(("gap", "count"), [(0.4, 1), (0.9, 1), (1.2, 2)])
def test_a_gap_of_up_to_a_second_ends_no_track(gap, count):
    (numbers,) = follow([lambda t: None if 1 < t <= 1 + gap else at(60 * t)], seconds=4, noise=1)
    assert len(seen(numbers)) == count


def test_a_face_that_comes_back_later_or_elsewhere_is_a_new_one():
    late = follow([lambda t: at(50) if t < 1 or t > 3 else None])
    elsewhere = follow([lambda t: at(50) if t < 1 else at(400) if t > 1.2 else None])
    assert seen(*late) == seen(*elsewhere) == [1, 2]


def test_few_frames_a_second_are_tracked_too():
    """With `--every 50` the frame before is two seconds away."""
    (numbers,) = follow([lambda t: at(10 * t)], fps=0.5, seconds=20)
    assert seen(numbers) == [1]


def test_a_face_that_is_seen_comes_before_one_that_was():
    """The second face's place is nearer to the first's old one, but that one is still there."""
    tracker = Tracker()
    assert tracker.update(0, [at(0), at(50)]) == [1, 2]
    assert tracker.update(0.1, [at(10)]) == [1]
    assert tracker.update(0.2, [at(40)]) == [1], "seen in the frame before"


def test_the_assignment_has_the_largest_sum_of_overlaps():
    rng = np.random.default_rng(3)
    for _ in range(50):
        first, second = (
            [at(*rng.uniform(0, 150, 2), side=rng.uniform(60, 120)) for _ in range(count)]
            for count in rng.integers(1, 5, 2)
        )
        pairs = assign(first, second)
        assert len(set(pairs.values())) == len(pairs)

        def total(pairs, first=first, second=second):
            found = [box_iou(first[row], second[column]) for row, column in pairs]
            return sum(one for one in found if one >= 0.3)

        shorter, longer = sorted([range(len(first)), range(len(second))], key=len)
        best = max(
            total([(a, b) if shorter == range(len(first)) else (b, a)
                   for a, b in zip(shorter, chosen, strict=True)])
            for chosen in itertools.permutations(longer, len(shorter))
        )  # fmt: skip
        assert total(pairs.items()) == pytest.approx(best)
        assert all(box_iou(first[row], second[column]) >= 0.3 for row, column in pairs.items())


def predicted(name, time, boxes):
    pixels = Pixels.from_image(Image.new("RGB", (4, 4))) if boxes is not None else None
    image = LoadedImage(0, name, pixels, "" if pixels else "cut off", time)
    if boxes is None:
        return image, [Prediction.unreadable(0, name, "cut off", time)]
    faces = [
        Prediction.from_probabilities(0, name, {"a": 1.0}, box, 0.9, time=time) for box in boxes
    ]
    return image, faces or [Prediction.without_face(0, name, time)]


def test_each_film_has_numbers_of_its_own_and_images_have_none():
    stream = [
        predicted("photo.jpg", None, [at(0)]),
        predicted("a.mp4#0", 0.0, [at(0), at(300)]),
        predicted("a.mp4#1", 0.1, []),
        predicted("a.mp4#2", 0.2, [at(300), at(0)]),
        predicted("a.mp4#3", 0.3, None),
        predicted("b.mp4#0", 0.5, [at(300)]),
        predicted("b.mp4#0", 0.0, [at(0)]),  # the same one again
        predicted("b.mp4#1", 0.1, [None]),
    ]
    found = [[one.track for one in predictions] for _, predictions in track_films(stream)]
    assert found == [[None], [1, 2], [None], [2, 1], [None], [1], [1], [2]]

"""Tests of smoothing against its formula, along each face's path and not across faces."""

import pytest

from faceemo.inference.film.smoothing import Smoother
from faceemo.inference.prediction import Prediction


def predict_at(frame, value, left, track=1):
    return Prediction.from_probabilities(
        frame, "f", {"a": value, "b": 1 - value}, (left, 0, left + 100, 100), 0.9, track=track
    )


def test_each_face_is_smoothed_with_its_own_past():
    values, others = [0.9, 0.1, 0.8, 0.3], [0.2, 0.7, 0.4, 0.6]
    smoother = Smoother(0.75)
    one, other = values[0], others[0]
    for frame, (value, second) in enumerate(zip(values, others, strict=True)):
        # the faces move, and change places in the list
        faces = [
            predict_at(frame, value, 10 * frame, track=1),
            predict_at(frame, second, 400 - 10 * frame, track=2),
        ]
        found = smoother.smooth(faces[:: -1 if frame % 2 else 1])
        found = found[:: -1 if frame % 2 else 1]
        if frame:
            one, other = 0.75 * one + 0.25 * value, 0.75 * other + 0.25 * second
        assert found[0].probabilities["a"] == pytest.approx(one)
        assert found[1].probabilities["a"] == pytest.approx(other)
        assert found[0].leaning == ("a" if one > 0.5 else "b")
        assert found[0].box == faces[0].box


def test_decay_0_changes_nothing_and_a_new_face_starts_anew():
    faces = [predict_at(0, 0.9, 0), predict_at(1, 0.1, 0)]
    assert [Smoother(0.0).smooth([face]) for face in faces] == [[face] for face in faces]
    plain = Smoother(0.0)
    plain.smooth([faces[0]])
    assert plain.smooth([faces[1]])[0].probabilities == pytest.approx(faces[1].probabilities)
    smoother = Smoother(0.9)
    smoother.smooth([faces[0]])
    other = predict_at(1, 0.1, 300, track=2)
    assert smoother.smooth([other]) == [other]
    assert smoother.smooth([Prediction.without_face(2, "f")]) == [Prediction.without_face(2, "f")]
    again = predict_at(3, 0.2, 300, track=2)
    assert smoother.smooth([again]) == [again]


def test_frames_taken_whole_as_faces_are_smoothed_too():
    def predict_whole(frame, value):
        probabilities = {"a": value, "b": 1 - value}
        return Prediction.from_probabilities(frame, "f", probabilities, None, None, track=1)

    smoother = Smoother(0.5)
    smoother.smooth([predict_whole(0, 0.9)])
    (one,) = smoother.smooth([predict_whole(1, 0.1)])
    assert one.probabilities["a"] == pytest.approx(0.5)
    assert (one.box, one.track) == (None, 1)

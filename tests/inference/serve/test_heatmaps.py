"""Heatmaps: computed in batches, for a limited number of faces, never for cancelled requests."""

import base64
import time

import numpy as np
import pytest

from faceemo.analysis.saliency import gradcam
from faceemo.inference.faces import Face
from faceemo.inference.serve import heatmaps
from faceemo.inference.serve.worker import Wishes
from tests.support.data.faces import face
from tests.support.inference.asking import crop_png, decode_pixels, open_api

MANY = heatmaps.MAX_HEATMAPS + 8


@pytest.fixture
def gradcam_calls(monkeypatch):
    """Records for each call of Grad-CAM the number of faces and the size of the padded batch."""
    calls = []
    make_heat = gradcam.make_heat

    def make_recording_heat(*args, batch):
        compute_heat = make_heat(*args, batch=batch)

        def heat(images, classes):
            calls.append((len(images), batch))
            return compute_heat(images, classes)

        return heat

    monkeypatch.setattr(gradcam, "make_heat", make_recording_heat)
    return calls


@pytest.fixture
def many_faces(predictor, monkeypatch):
    """Makes the finder return `MANY` faces for every image, each larger than the one before."""
    faces = [Face(face(n), (50 * n, 0, 50 * n + 10 + n, 40), None, 0.9) for n in range(MANY)]
    monkeypatch.setattr(predictor.finder, "find", lambda _: faces)
    return faces


def test_the_largest_of_many_faces_get_their_heatmaps_in_one_batch(
    predictor, gradcam_calls, many_faces
):
    with open_api(predictor) as api:
        response = api.predict(crop_png(0), "?heat=true").json()
        assert gradcam_calls == [(heatmaps.MAX_HEATMAPS, 32)]
        assert [one["heat"] is not None for one in response["faces"]] == [False] * 8 + [True] * 32
        assert response["without_heat"] == 8
        for one, given in list(zip(response["faces"], many_faces, strict=True))[8::10]:
            best = np.array([predictor.classes.index(one["leaning"])])
            trained = predictor.trained
            compute_heat = gradcam.make_heat(
                trained.model, trained.preprocessing, trained.variables, batch=1
            )
            (alone,) = compute_heat(given.crop[None], best)
            expected = decode_pixels(heatmaps.encode_heatmap(alone)).astype(int)
            found = decode_pixels(base64.b64decode(one["heat"].partition(",")[2])).astype(int)
            assert np.abs(found - expected).max() <= 2
        gradcam_calls.clear()
        response = api.predict(crop_png(0)).json()
        assert gradcam_calls == []
        assert response["without_heat"] == 0


def test_requests_that_wait_together_get_their_heatmaps_in_one_batch(
    predictor, gradcam_calls, monkeypatch
):
    monkeypatch.setattr("faceemo.inference.serve.worker._MAX_BATCH_DELAY", 60)  # a busy machine
    with open_api(predictor) as api:
        worker = api.worker
        worker.start = lambda: None  # until all jobs are queued
        futures = [
            worker.submit(crop_png(seed), Wishes(crops=True, heat=seed != 1)) for seed in range(4)
        ]
        del worker.start
        worker.start()
        responses = [future.result(60) for future in futures]
        assert gradcam_calls == [(3, 4)]
        assert [one.faces[0].heat is not None for one in responses] == [True, False, True, True]


def test_no_heatmap_is_made_for_a_request_cancelled_during_prediction(
    predictor, gradcam_calls, monkeypatch
):
    with open_api(predictor) as api:
        futures = []
        predict_faces = predictor.predict_faces

        def cancel_and_predict(batch):
            assert futures[0].cancel(), "a pending job can be cancelled at any time"
            return predict_faces(batch)

        with monkeypatch.context() as patched:
            patched.setattr(predictor, "predict_faces", cancel_and_predict)
            api.worker.start = lambda: None
            futures += [
                api.worker.submit(crop_png(seed), Wishes(crops=True, heat=True)) for seed in (0, 1)
            ]
            del api.worker.start
            api.worker.start()
            assert futures[1].result(60).faces[0].heat
        assert gradcam_calls == [(1, 1)]
        assert api.predict(crop_png(2), "?heat=true").status_code == 200


def test_larger_batches_are_compiled_while_no_request_waits(predictor, gradcam_calls):
    with open_api(predictor) as api:
        api.worker.warm_up()
        gradcam_calls.clear()
        api.worker.start()
        end = time.monotonic() + 60
        while len(gradcam_calls) < 5:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert gradcam_calls == [(size, size) for size in (2, 4, 8, 16, 32)]


def test_the_api_page_states_the_number_of_heatmaps(predictor):
    with open_api(predictor) as api:
        assert f"of the {heatmaps.MAX_HEATMAPS} largest faces" in api.get("/api").text

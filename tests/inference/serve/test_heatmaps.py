"""Heat maps: made together, for not too many faces, and for nobody who is gone."""

import base64
import time

import numpy as np
import pytest

from faceemo.analysis.saliency import gradcam
from faceemo.inference.faces import Face
from faceemo.inference.serve import heatmaps
from tests.support.data.faces import face
from tests.support.inference.asking import asking, crop, read

MANY = heatmaps.MOST + 8


@pytest.fixture
def heated(monkeypatch):
    """How many faces each call of Grad-CAM was about, and how many it was padded to."""
    calls = []
    make = gradcam.make_heat

    def counting(*known, batch):
        maps = make(*known, batch=batch)

        def heat(images, classes):
            calls.append((len(images), batch))
            return maps(images, classes)

        return heat

    monkeypatch.setattr(gradcam, "make_heat", counting)
    return calls


@pytest.fixture
def crowd(predictor, monkeypatch):
    """Every picture shows many faces; the further to the right, the larger."""
    faces = [Face(face(n), (50 * n, 0, 50 * n + 10 + n, 40), None, 0.9) for n in range(MANY)]
    monkeypatch.setattr(predictor.finder, "faces", lambda _: faces)
    return faces


def test_the_largest_of_many_faces_get_their_maps_together(predictor, heated, crowd):
    with asking(predictor) as asker:
        answer = asker.predict(crop(0), "?heat=true").json()
        assert heated == [(heatmaps.MOST, 32)]
        assert [one["heat"] is not None for one in answer["faces"]] == [False] * 8 + [True] * 32
        assert answer["without_heat"] == 8
        for one, shown in list(zip(answer["faces"], crowd, strict=True))[8::10]:
            best = np.array([predictor.classes.index(one["leaning"])])
            known = predictor.trained
            alone = gradcam.make_heat(known.model, known.preprocessing, known.variables, batch=1)(
                shown.crop[None], best
            )[0]
            wanted = read(heatmaps.png_of(alone)).astype(int)
            found = read(base64.b64decode(one["heat"].partition(",")[2])).astype(int)
            assert np.abs(found - wanted).max() <= 2
        heated.clear()
        answer = asker.predict(crop(0)).json()
        assert heated == []
        assert answer["without_heat"] == 0


def test_pictures_that_wait_together_get_their_maps_together(predictor, heated):
    with asking(predictor) as asker:
        worker = asker.worker
        worker.start = lambda: None  # until all are there
        futures = [worker.submit(crop(seed), crops=True, heat=seed != 1) for seed in range(4)]
        del worker.start
        worker.start()
        answers = [future.result(60) for future in futures]
        assert heated == [(3, 4)]
        assert [one.faces[0].heat is not None for one in answers] == [True, False, True, True]


def test_no_map_is_made_for_who_is_gone(predictor, heated, monkeypatch):
    """Though the answer was begun."""
    with asking(predictor) as asker:
        futures = []
        answers = predictor.answers

        def leaving(batch):
            assert futures[0].cancel(), "it must be possible at any time"
            return answers(batch)

        with monkeypatch.context() as patched:
            patched.setattr(predictor, "answers", leaving)
            asker.worker.start = lambda: None
            futures += [asker.worker.submit(crop(seed), crops=True, heat=True) for seed in (0, 1)]
            del asker.worker.start
            asker.worker.start()
            assert futures[1].result(60).faces[0].heat
        assert heated == [(1, 1)]
        assert asker.predict(crop(2), "?heat=true").status_code == 200


def test_what_many_faces_need_is_compiled_while_nobody_waits(predictor, heated):
    with asking(predictor) as asker:
        asker.worker.warm()
        heated.clear()
        asker.worker.start()
        end = time.monotonic() + 60
        while len(heated) < 5:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert heated == [(size, size) for size in (2, 4, 8, 16, 32)]


def test_the_number_of_maps_is_described(predictor):
    with asking(predictor) as asker:
        assert f"of the {heatmaps.MOST} largest faces" in asker.get("/api").text

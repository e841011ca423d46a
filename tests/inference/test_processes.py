"""Predictors in threads, in pickles and in other processes."""

import concurrent.futures
import copy
import os
import pickle
import signal
import warnings

import numpy as np
import pytest

import faceemo
from faceemo.errors import UserError
from faceemo.inference import forks
from tests.support.data.faces import face

pytestmark = pytest.mark.slow


def test_threads_share_a_predictor(predictor):
    photos = [np.full((300, 300), 128, np.uint8) for _ in range(12)]
    for seed, photo in enumerate(photos):
        photo[50:200, 10 * seed : 10 * seed + 150] = face(seed, 150)
    alone = [predictor.predict(photo) for photo in photos]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predictor.predict, photos)) == alone


def test_a_pickled_predictor_predicts_as_the_original(network):
    original = faceemo.load(network, face_threshold=0.7, min_face=60)
    images = np.stack([face(seed) for seed in range(3)])
    expected = original.predict(images, crops=True)
    for other in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
        assert other.predict(images, crops=True) == expected
        assert other.finder.threshold == 0.7
        photo = np.full((300, 300), 128, np.uint8)
        photo[50:100, 50:100] = face(0, 50)
        assert other.predict(photo) == original.predict(photo)


def run_forked(work):
    """Runs a function in a forked process, and returns its text, or None if it hangs."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX's own warning of the fork
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's handler never runs where JAX hangs
        signal.alarm(60)  # kills it
        os.write(writing, work().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        text = lines.read()
    os.waitpid(child, 0)
    return text or None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("use", ["predict", "pickle", "load"])
def test_a_forked_process_gets_an_error_in_place_of_hanging(network, use):
    predictor = faceemo.load(network)
    predictor.predict(face(0))
    pickled = pickle.dumps(predictor)

    def work():
        try:
            if use == "load":
                faceemo.load(network)
            # a pool unpickles outside of the task, where an error would make it wait for ever
            (pickle.loads(pickled) if use == "pickle" else predictor).predict(face(0))
        except UserError as error:
            return str(error)
        return "predicted"

    message = run_forked(work)
    assert message, "the forked process hangs"
    assert "spawn" in message
    assert f"forked from process {os.getpid()}" in message
    forks.refuse_forked_process()  # this process is none

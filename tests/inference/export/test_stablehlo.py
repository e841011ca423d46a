"""A loaded file's programs, which hold the weights, stay out of JAX's cache on disk."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.config import ImageFormat
from faceemo.inference.export import stablehlo

TRAINED = types.SimpleNamespace(image_format=ImageFormat(12))
WRITTEN = "/jax/compilation_cache/cache_misses"
THRESHOLD = "jax_persistent_cache_min_compile_time_secs"


@pytest.fixture
def written():
    """The names of JAX's events while a cache stores every program that is compiled."""
    before, events = jax.config.values[THRESHOLD], []

    def listen(name, **_):
        events.append(name)

    jax.monitoring.register_event_listener(listen)
    jax.config.update(THRESHOLD, 0.0)
    yield events
    jax.config.update(THRESHOLD, before)
    jax.monitoring.unregister_event_listener(listen)


def test_the_programs_of_a_file_are_not_stored(tmp_path, monkeypatch, written):
    weights = np.random.default_rng().normal(size=(144, 4)).astype(np.float32)

    def classify(images):
        flat = images.reshape(images.shape[0], 144).astype(jnp.float32)
        return jax.nn.softmax(flat @ weights)

    monkeypatch.setattr(stablehlo, "make_probabilities", lambda trained: classify)
    stablehlo.write(TRAINED, tmp_path / "a")
    run = stablehlo.load(tmp_path / "a")
    images = np.arange(2 * 144, dtype=np.uint8).reshape(2, 12, 12)
    del written[:]
    found = run(images)
    assert WRITTEN not in written
    np.testing.assert_allclose(found, jax.jit(classify)(images), rtol=1e-5)
    assert WRITTEN in written, "other programs are stored, as before"

"""Networks are compiled with the option that XLA's compiler for CPUs needs, where it has it."""

from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
import pytest

from faceemo.models import compiler
from faceemo.train import parallel

OPTION = "xla_cpu_experimental_ynn_fusion_type"


pytestmark = pytest.mark.skipif(
    jaxlib.version.__version__ not in compiler._VERSIONS,
    reason="this version of jaxlib was not tried with the option",
)


def test_xla_takes_the_option_and_fuses_no_pooling_with_a_product():
    def step(kernel, bias, images):
        pooled = jax.lax.reduce_window(
            images, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )
        return jax.nn.relu(pooled.reshape(len(pooled), -1) @ kernel + bias[None]) @ kernel.T

    arguments = np.ones((2, 1152, 256)), np.ones((2, 256)), np.ones((2, 8, 12, 12, 32))
    arguments = [array.astype(np.float32) for array in arguments]
    mapped: Any = parallel.map_eval_step(step)
    program = mapped.lower(*arguments).compile().as_text()
    bodies = program.split("\n\n")
    assert any(" dot(" in body for body in bodies)
    assert not any(" dot(" in body and "reduce-window" in body for body in bodies)


def test_other_versions_and_devices_keep_xlas_own_choice(monkeypatch):
    assert list(compiler.options()) == [OPTION]
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        assert compiler.options() is None
    monkeypatch.setattr(jaxlib.version, "__version__", "9.9")
    monkeypatch.setenv("XLA_FLAGS", "--one=1")
    compiler.set_for_process()
    assert compiler.options() is None
    assert compiler.os.environ["XLA_FLAGS"] == "--one=1"


@pytest.mark.parametrize("own", ["", "--one=1", f"--{OPTION}="])
def test_a_process_gets_the_option_unless_it_has_one(monkeypatch, own):
    monkeypatch.setenv("XLA_FLAGS", own)
    for _ in range(2):
        compiler.set_for_process()
    found = compiler.os.environ["XLA_FLAGS"]
    assert found.startswith(own)
    assert found.count(OPTION) == 1
    assert found.endswith("=") == own.endswith("=")

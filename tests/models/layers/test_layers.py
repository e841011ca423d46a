"""The bias of a layer is added, and its gradient summed, in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo.models.layers.layers import Conv, Dense

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda dtype: Conv(3, (1, 1), dtype=dtype), (2, 48, 47, 4)),
        (lambda dtype: Dense(3, dtype), (4512, 4)),
    ],
    ids=["Conv", "Dense"],
)
def test_the_gradient_of_a_bias_is_a_sum_in_float32(dtype, make, shape):
    layer = make(jnp.dtype(dtype))
    inputs = jnp.asarray(RNG.normal(size=shape), dtype)
    # Summed in bfloat16, numbers near one would stop growing at 256.
    cotangent = jnp.asarray(RNG.random((*shape[:-1], 3)) + 0.5, dtype)
    variables = layer.init(jax.random.PRNGKey(0), inputs)
    outputs, pull = jax.vjp(lambda values: layer.apply(values, inputs), variables)
    assert outputs.dtype == dtype
    ours = pull(cotangent)[0]["params"]["bias"]
    exact = np.asarray(cotangent, np.float64).reshape(-1, 3).sum(0)
    np.testing.assert_allclose(ours, exact, rtol=1e-5)


def test_a_bias_is_rounded_once():
    layer = Dense(1, jnp.dtype("bfloat16"))
    # Rounded to bfloat16 before the addition, the bias would become 1.
    values = {"params": {"kernel": jnp.array([[1.0]]), "bias": jnp.array([1 + 3 / 1024])}}
    found = np.asarray(layer.apply(values, jnp.array([[-1.0]], "bfloat16")))
    assert found.astype(np.float32) == np.float32(3 / 1024)

"""A depthwise convolution between two normalisations equals the layers, one after the other."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from faceemo import models
from faceemo.config import make_config
from faceemo.models.layers import native
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.depthwise_between import apply_between
from faceemo.models.layers.extension import calls
from faceemo.models.layers.layers import DepthwiseConv, Mode
from faceemo.models.layers.padding import Padding

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("extension")]

NAME = "depthwise_between"
INFERENCE = Mode()


class Between(nn.Module):
    """The function, and its layers."""

    side: int
    strides: tuple[int, int]
    padding: Padding
    activation: Callable[[jax.Array], jax.Array]
    apart: bool

    @nn.compact
    def __call__(self, inputs, mode=INFERENCE):
        layer = DepthwiseConv((self.side, self.side), self.strides, self.padding, name="layer")
        before, after = (BatchNorm(1e-3, name, name=name) for name in ("before", "after"))
        if not self.apart:
            return apply_between(layer, before, after, self.activation, inputs, mode, average=True)
        outputs = self.activation(after(layer(self.activation(before(inputs, mode))), mode))
        return outputs, outputs.mean((1, 2), keepdims=True)


def draw_variables(rng, module, inputs):
    """Draws parameters and statistics; no variance is negative."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs)
    return jax.tree.map(lambda leaf: rng.uniform(0.5, 2, leaf.shape).astype(np.float32), shapes)


def with_gradients(module, slopes):
    """Returns the results, and the gradients of the inputs and of all variables."""

    def run(variables, inputs):
        outputs, pull = jax.vjp(module.apply, variables, inputs)
        return outputs, *pull(jax.tree.map(lambda s, o: s[: o.shape[0]], slopes, outputs))

    return run


@pytest.mark.parametrize("activation", [nn.relu6, nn.swish])
@pytest.mark.parametrize(
    ("side", "strides", "padding"),
    [
        (3, (1, 1), "SAME"),
        (3, (2, 2), "SAME"),
        (3, (2, 2), ((0, 1), (0, 1))),
        (5, (1, 1), "SAME"),
        (5, (2, 2), "SAME"),
        (5, (3, 1), ((4, 0), (1, 3))),
    ],
    ids=str,
)
# Many images, and few with more rows than one task takes; channels that fill no register.
@pytest.mark.parametrize("shape", [(9, 5, 6, 21), (2, 27, 9, 64), (1, 17, 16, 141)])
def test_it_equals_the_layers_and_so_do_all_gradients(activation, side, strides, padding, shape):
    rng = np.random.default_rng(0)
    inputs = rng.normal(0, 2, shape).astype(np.float32)
    fused, apart = (Between(side, strides, padding, activation, kind) for kind in (False, True))
    variables = draw_variables(rng, fused, inputs)
    results = jax.eval_shape(apart.apply, variables, inputs)
    slopes = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), results)
    run = jax.jit(with_gradients(fused, slopes))
    assert run.lower(variables, inputs).as_text().count(f"_{NAME}") == 1
    with native.native_convolutions():
        expected = jax.jit(with_gradients(apart, slopes))(variables, inputs)
    ours = run(variables, inputs)
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * np.abs(other).max())


@pytest.mark.parametrize("swish", [False, True])
def test_activations_have_six_digits_everywhere(swish):
    values = np.concatenate(
        [np.linspace(-120, 120, 100_003), np.geomspace(1e-30, 3e38, 4001), -np.geomspace(1e-30, 80)]
    ).astype(np.float32)
    values = np.resize(values, (1, 1, len(values) // 48, 48))
    # A kernel that changes nothing.
    kernel = np.zeros((3, 3, 48, 1), np.float32)
    kernel[1, 1] = 1
    one, zero = jnp.ones(48), jnp.zeros(48)
    outputs, _ = calls.convolve_depthwise_between(
        jnp.asarray(values),
        jnp.asarray(kernel),
        (one, zero),
        (one, zero),
        calls.Window((1, 1), (1, 1)),
        values.shape,
        swish=swish,
        average=False,
    )

    def activate(values):
        with np.errstate(over="ignore"):
            return values / (1 + np.exp(-values)) if swish else np.clip(values, 0, 6)

    expected = activate(activate(values.astype(np.float64)))
    # The powers of e end at 88.
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-35)


def test_what_is_not_a_number_stays_visible():
    inputs = jnp.ones((2, 8, 8, 20)).at[0, 3, 3, 5].set(jnp.nan)
    for activation in (nn.relu6, nn.swish):
        module = Between(3, (1, 1), "SAME", activation, apart=False)
        results: Any = module.apply(module.init(jax.random.key(0), inputs), inputs)
        outputs, averages = results
        assert np.isnan(outputs[0, 2:5, 2:5, 5]).all()
        assert np.isnan(outputs).sum() == 9
        assert np.isnan(averages).sum() == 1


@pytest.mark.parametrize(("arch", "fused"), [("mobilenet", 13), ("efficientnetb0", 16)])
def test_networks_use_it_where_statistics_are_fixed_and_nowhere_else(arch, fused):
    def count(model, variables, images, **mode):
        def run(params):
            return model.apply(params, variables["batch_stats"], images, **mode)

        return jax.jit(run).lower(variables["params"]).as_text().count(f"_{NAME}")

    images = jnp.zeros((2, 48, 48, 3))
    whole = models.build(make_config(arch, "9,weights=none,image_size=48"))
    variables = whole.init(0)
    assert count(whole, variables, images) == fused
    assert count(whole, variables, images, train=True) == 0
    top = models.build(make_config(arch, "9,weights=none,image_size=48,unfreeze=1"))
    assert 0 < count(top, variables, images, train=True) < fused
    halves = models.build(make_config(arch, "9,weights=none,image_size=48,dtype=bfloat16"))
    assert count(halves, variables, images) == 0
    with native.native_convolutions():
        assert count(whole, variables, images) == 0

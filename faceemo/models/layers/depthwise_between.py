"""A depthwise convolution between two normalisations, computed as one where that is possible."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from faceemo.models.layers.batch_moments import multiply_and_add
from faceemo.models.layers.batch_norm import BatchNorm
from faceemo.models.layers.convolution import convolve_depthwise
from faceemo.models.layers.extension import calls
from faceemo.models.layers.layers import DepthwiseConv, Mode
from faceemo.models.layers.native import on_cpu
from faceemo.models.layers.padding import Pads, find_pads, output_size

Activation = Callable[[jax.Array], jax.Array]
# The activations for which the extension has code.
_RELU6, _SWISH = nn.relu6, nn.swish
# What a normalisation multiplies by and then adds, each [C].
_ScaleAndShift = tuple[jax.Array, jax.Array]
# Inputs, kernel, and scale and shift before and after.
_Arguments = tuple[jax.Array, jax.Array, _ScaleAndShift, _ScaleAndShift]


class _How(NamedTuple):
    """What `apply_between` needs beside arrays."""

    strides: tuple[int, int]
    pads: Pads
    activation: Activation
    average: bool


def apply_between(
    layer: DepthwiseConv,
    before: BatchNorm,
    after: BatchNorm,
    activation: Activation,
    inputs: jax.Array,
    mode: Mode,
    *,
    average: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """Computes activation(after(layer(activation(before(inputs))))).

    On CPUs the extension, where it is in use, computes this in one pass over the memory if neither
    normalisation is in a block in training mode.

    Args:
        layer: The depthwise convolution.
        before: The normalisation of its inputs.
        after: The normalisation of its result.
        activation: `nn.relu6` or `nn.swish`.
        inputs: Array [B, H, W, C].
        mode: Mode of the forward pass.
        average: True if the averages over the positions are needed.

    Returns:
        Array [B, H', W', C], and its averages [B, 1, 1, C], or None.
    """
    channels = inputs.shape[-1]
    kernel = layer.make_kernel(channels)
    if (
        not on_cpu()
        or not calls.can_convolve_depthwise(kernel, inputs)
        or {before.block, after.block} & mode.training
        or activation not in (_RELU6, _SWISH)
    ):
        outputs = activation(after(layer(activation(before(inputs, mode))), mode))
        return outputs, outputs.mean((1, 2), keepdims=True) if average else None
    how = _How(
        layer.strides,
        find_pads(inputs, kernel, layer.strides, layer.padding),
        activation,
        average,
    )
    scaled = before.moving_scale_and_shift(channels), after.moving_scale_and_shift(channels)
    computed: Any = _compute((inputs, kernel, *scaled), how)
    outputs, averages = computed
    return outputs, averages.reshape(-1, 1, 1, channels) if average else None


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _compute(arguments: _Arguments, how: _How) -> tuple[jax.Array, jax.Array]:
    """Returns the outputs, and their averages [B, C], or [B, 0] if they are not needed."""
    inputs, kernel, before, after = arguments
    return calls.convolve_depthwise_between(
        inputs,
        kernel,
        before,
        after,
        calls.Window.make(how.strides, how.pads),
        (len(inputs), *output_size(inputs, kernel, how.strides, how.pads), inputs.shape[3]),
        swish=how.activation is _SWISH,
        average=how.average,
    )


def _forward(arguments: _Arguments, how: _How) -> tuple[tuple[jax.Array, jax.Array], _Arguments]:
    return _compute(arguments, how), arguments


def _backward(
    how: _How, saved: _Arguments, gradients: tuple[jax.Array, jax.Array]
) -> tuple[_Arguments]:
    """Computes the gradients step by step, from intermediate values that it computes again."""

    def compute(arguments: _Arguments) -> tuple[jax.Array, jax.Array]:
        inputs, kernel, before, after = arguments
        activated = how.activation(multiply_and_add(inputs, *before))
        outputs = convolve_depthwise(activated, kernel, how.strides, how.pads)
        outputs = how.activation(multiply_and_add(outputs, *after))
        return outputs, outputs.mean((1, 2))[:, : outputs.shape[3] * how.average]

    _, pull = jax.vjp(compute, saved)
    return pull(gradients)


_compute.defvjp(_forward, _backward)

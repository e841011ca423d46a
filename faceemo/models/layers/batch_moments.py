"""Normalisation by the mean and variance of a batch, with its gradient."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from faceemo.models.layers.extension import calls
from faceemo.models.layers.native import on_cpu
from faceemo.models.layers.over_devices import add_up


@dataclasses.dataclass(frozen=True)
class RealRows:
    """The rows of a batch that count.

    Attributes:
        mask: Array [B], 1 for a real row, 0 for padding; None if all are real.
        axis_name: Name of the mapped device axis, if the batch is divided among devices.
    """

    mask: jax.Array | None = None
    axis_name: str | None = None

    def total(self, array: jax.Array) -> jax.Array:
        """Adds up an array over all devices."""
        return add_up(array, self.axis_name)

    def real(self, array: jax.Array) -> jax.Array:
        """Replaces the masked rows of [B, H, W, C] by zeros."""
        if self.mask is None:
            return array
        return jnp.where(self.mask.reshape(-1, 1, 1, 1) > 0, array, 0)

    def count(self, values: jax.Array) -> jax.Array:
        """Counts the real positions of [B, H, W, C] on this device, in the type of its values."""
        images = jnp.asarray(len(values)) if self.mask is None else self.mask.sum()
        return (images * (values.shape[1] * values.shape[2])).astype(values.dtype)


def normalize(
    inputs: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    epsilon: float,
) -> jax.Array:
    """Maps [B, H, W, C] to gamma * (inputs - mean) / sqrt(variance + epsilon) + beta.

    The result is at least float32.
    """
    return multiply_and_add(inputs, *scale_and_shift(gamma, beta, mean, variance, epsilon))


def multiply_and_add(inputs: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Maps [B, H, W, C] to inputs * scale + shift, at least float32; both are [C]."""
    return _widen(inputs) * _per_channel(scale) + _per_channel(shift)


def scale_and_shift(
    gamma: jax.Array, beta: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array]:
    """Returns what `normalize` multiplies by and then adds, each [C]."""
    scale = gamma * lax.rsqrt(variance + epsilon)
    return scale, beta - mean * scale


def compute_moments(inputs: jax.Array, rows: RealRows) -> tuple[jax.Array, jax.Array]:
    """Computes mean and (biased) variance over the real rows on all devices.

    The squares are those of the deviations from the mean. In a single pass the variance would be
    the difference of two large numbers, which may have no correct digit left.

    It is not to be differentiated: stop the gradient of `inputs`.

    Args:
        inputs: Float array [B, H, W, C]; masked rows are not used, whatever they hold.
        rows: The rows that count.

    Returns:
        Mean and variance, each [C], at least float32.
    """
    values = _widen(inputs)
    own_count = rows.count(values)
    if on_cpu() and calls.can_compute(inputs):
        given = jnp.ones(len(inputs)) if rows.mask is None else rows.mask
        own_mean, own_squares = calls.compute_moments(inputs, given.astype(jnp.float32))
    else:
        own_mean = rows.real(values).sum((0, 1, 2)) / jnp.maximum(own_count, 1)
        deviations = rows.real(values - _per_channel(own_mean))
        own_squares = lax.square(deviations).sum((0, 1, 2))
    # At least one, for a batch of nothing but padding.
    count = jnp.maximum(rows.total(own_count), 1)
    if rows.axis_name is None:
        return own_mean, own_squares / count
    mean = rows.total(own_mean * own_count) / count
    return mean, rows.total(own_squares + own_count * lax.square(own_mean - mean)) / count


def normalize_by_own_moments(
    inputs: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    epsilon: float,
    rows: RealRows,
) -> jax.Array:
    """Calls `normalize` with the moments of the inputs.

    The gradient of the inputs includes what flows through the moments; that of `mean` and
    `variance` is therefore zero. Its two sums take one pass over the memory with the extension, and
    one each without it; automatic differentiation takes three sums, one after the other.

    Args:
        inputs: Float array [B, H, W, C]. All rows are normalised, masked ones too.
        gamma: Float32 [C].
        beta: Float32 [C].
        mean: The inputs' mean, see `compute_moments`.
        variance: The inputs' variance.
        epsilon: Small number added to the variance.
        rows: The rows that counted for the moments.

    Returns:
        Array [B, H, W, C] of at least float32.
    """
    return _normalize(inputs, gamma, beta, mean, variance, rows.mask, epsilon, rows.axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _normalize(
    inputs: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    mask: jax.Array | None,
    epsilon: float,
    axis_name: str | None,
) -> jax.Array:
    return normalize(inputs, gamma, beta, mean, variance, epsilon)


def _forward(
    inputs: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    mask: jax.Array | None,
    epsilon: float,
    axis_name: str | None,
) -> tuple[jax.Array, tuple[jax.Array | None, ...]]:
    outputs = normalize(inputs, gamma, beta, mean, variance, epsilon)
    return outputs, (inputs, gamma, mean, variance, mask)


def _backward(
    epsilon: float,
    axis_name: str | None,
    saved: tuple[jax.Array, ...],
    gradient: jax.Array,
) -> tuple[jax.Array | None, ...]:
    inputs, gamma, mean, variance, mask = saved
    rows = RealRows(mask, axis_name)
    values = _widen(inputs)
    inverse = lax.rsqrt(variance + epsilon)
    plain, weighted = _sum_gradients(inputs, mean, gradient)
    count = jnp.maximum(rows.total(rows.count(values)), 1)
    shift = rows.total(plain) / count
    slope = rows.total(weighted) * lax.square(inverse) / count
    through_moments = rows.real(
        (values - _per_channel(mean)) * _per_channel(slope) + _per_channel(shift)
    )
    to_inputs = _per_channel(gamma * inverse) * (gradient - through_moments)
    return (
        to_inputs.astype(inputs.dtype),
        (weighted * inverse).astype(gamma.dtype),
        plain.astype(gamma.dtype),
        jnp.zeros_like(mean),
        jnp.zeros_like(variance),
        None if mask is None else jnp.zeros_like(mask),
    )


_normalize.defvjp(_forward, _backward)


def _sum_gradients(
    inputs: jax.Array, mean: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sums `gradient` and `gradient * (inputs - mean)` over all but the channels."""
    if on_cpu() and calls.can_compute(inputs, mean, gradient):
        return calls.sum_gradients(inputs, mean, gradient)
    deviations = _widen(inputs) - _per_channel(mean)
    return gradient.sum((0, 1, 2)), (gradient * deviations).sum((0, 1, 2))


def _widen(array: jax.Array) -> jax.Array:
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _per_channel(values: jax.Array) -> jax.Array:
    return values.reshape(1, 1, 1, -1)

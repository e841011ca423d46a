"""The losses of training, validation and distillation, as pure functions of logits."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Target(NamedTuple):
    """What the predictions for the images of a batch are compared with.

    Attributes:
        labels: int32 [B].
        share: Each image's factor of loss and accuracy, float32 [B]: 0 for padding, 1 for a plain
            image, between 0 and 1 for one of two that are mixed.
        distribution: Share of each class in each image's target, float32 [B, C], with which the
            loss compares in the place of the labels; None if there is none.
    """

    labels: jax.Array
    share: jax.Array
    distribution: jax.Array | None = None


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Computes the cross-entropy of every image.

    Args:
        logits: float32 [B, C].
        labels: int32 [B].
        smoothing: Share s of each target that is spread over all classes, from 0 to below 1: the
            target is 1 - s for the label, plus s / C for every class (Szegedy et al. 2016).

    Returns:
        float32 [B], nats.
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


def sum_label_losses(
    logits: jax.Array,
    targets: Sequence[Target],
    class_weights: jax.Array,
    smoothing: float,
) -> jax.Array:
    """Sums the weighted cross-entropy over images, each of which may have several targets.

    Args:
        logits: float32 [B, C].
        targets: One target of every image, or two where images are mixed.
        class_weights: float32 [C], the factor of each class's part of the loss.
        smoothing: As for `cross_entropy`.

    Returns:
        float32 scalar.
    """

    def weighted(target: Target) -> jax.Array:
        if target.distribution is not None:
            return cross_entropy_with_shares(
                logits, target.distribution * class_weights[None], smoothing
            )
        losses = cross_entropy(logits, target.labels, smoothing)
        return losses * class_weights[target.labels]

    return jnp.asarray(sum((weighted(target) * target.share).sum() for target in targets))


def cross_entropy_with_shares(
    logits: jax.Array, shares: jax.Array, smoothing: float = 0.0
) -> jax.Array:
    """Computes the sum of every image's cross-entropies with all classes, each times its share.

    Args:
        logits: float32 [B, C].
        shares: float32 [B, C]; their sum may differ from 1.
        smoothing: As for `cross_entropy`.

    Returns:
        float32 [B], nats.
    """
    if smoothing:
        # Not optax.smooth_labels, which takes the sum of the shares for 1.
        spread = shares.mean(-1, keepdims=True)
        shares = (1 - smoothing) * shares + smoothing * spread
    return optax.softmax_cross_entropy(logits, shares)


def distillation_loss(
    logits: jax.Array, teacher_probabilities: jax.Array, temperature: float
) -> jax.Array:
    """Computes the cross-entropy of every image with the teachers' softened probabilities.

    It is multiplied by the square of the temperature, so that its gradients keep their size
    (Hinton, Vinyals and Dean 2015).

    Args:
        logits: The student's, float32 [B, C].
        teacher_probabilities: float32 [B, C], at the same temperature.
        temperature: Divisor of the logits.

    Returns:
        float32 [B], nats.
    """
    log_probabilities = jax.nn.log_softmax(logits / temperature)
    return -(teacher_probabilities * log_probabilities).sum(-1) * temperature**2


def exact_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Computes the cross-entropy of every image in NumPy and float64.

    Args:
        logits: float [N, C].
        labels: int [N].

    Returns:
        float64 [N], nats.
    """
    logits = logits.astype(np.float64)
    top = logits.max(axis=1)
    losses = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses -= logits[np.arange(len(labels)), labels]
    return losses

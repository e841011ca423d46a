"""The losses of training, validation and distillation, as pure functions of logits."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax


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
    targets: Sequence[tuple[jax.Array, jax.Array]],
    class_weights: jax.Array,
    smoothing: float,
) -> jax.Array:
    """Sums the weighted cross-entropy over images, each of which may have several labels.

    Args:
        logits: float32 [B, C].
        targets: Pairs of labels, int32 [B], and their shares of each image's loss, float32 [B]:
            0 for padding, 1 for a plain image, between 0 and 1 for a mixed one.
        class_weights: float32 [C], the factor of each label's loss.
        smoothing: As for `cross_entropy`.

    Returns:
        float32 scalar.
    """
    total = sum(
        (cross_entropy(logits, labels, smoothing) * class_weights[labels] * share).sum()
        for labels, share in targets
    )
    return jnp.asarray(total)


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

"""Probabilities from logits, and their temperature, in NumPy alone."""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities from logits [N, C], in the dtype of the logits."""
    # SciPy has the same function, but takes a fifth of a second to import.
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Returns the logarithms of probabilities, float64 of the same shape, always finite.

    A softmax in float32 reaches 0 if the logits are more than 88 apart; its log is bounded.
    """
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the logits of probabilities float32 [N, C] by `temperature`: float32 [N, C]."""
    logits = log_probabilities(probabilities)  # up to a constant per image
    return softmax(logits / temperature).astype(np.float32)


def calibrate(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Computes calibrated probabilities float32 [N, C] from logits float32 [N, C]."""
    return apply_temperature(softmax(logits), temperature)

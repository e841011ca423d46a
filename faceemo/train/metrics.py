"""Sums and counts over images, their ratios, and the recall of each class.

Training accuracy is the share of training images whose predicted class is their label. With
targets='majority' that label is the emotion with more than half of the votes; with 'distribution'
the emotion with the most votes, although the loss compares with all of them; with 'sampled' the
vote that was drawn for the epoch, which even a perfect network cannot foresee.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.struct
import numpy as np
from clu import metrics

from faceemo.train.losses import exact_cross_entropy


@flax.struct.dataclass
class Totals(metrics.Collection):
    """Sums of losses and hits over images; `compute()` divides them, once, by the count."""

    loss: metrics.Average
    accuracy: metrics.Average

    @classmethod
    def from_sums(cls, *, loss: Any = 0, correct: Any = 0, count: Any = 0) -> "Totals":
        """Makes totals from sums; without arguments, those of no images."""
        loss, correct, count = (np.asarray(value, np.float64) for value in (loss, correct, count))
        return cls.empty().replace(
            loss=metrics.Average(total=loss, count=count),
            accuracy=metrics.Average(total=correct, count=count),
        )

    @classmethod
    def from_step(cls, sums: Mapping[str, Any]) -> "Totals":
        """Makes totals from the sums of a training step, see `faceemo.train.steps`."""
        return cls.from_sums(**{name: sums[name] for name in ("loss", "correct", "count")})

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> "Totals":
        """Sums unweighted cross-entropy and hits of logits [N, C] and labels int [N]."""
        correct = logits.argmax(axis=1) == labels
        return cls.from_sums(
            loss=exact_cross_entropy(logits, labels).sum(), correct=correct.sum(), count=len(labels)
        )

    def to_dict(self) -> dict[str, float]:
        """Returns the arguments of `from_sums` that make these totals again, to the last bit."""
        return {
            "loss": float(self.loss.total),
            "correct": float(self.accuracy.total),
            "count": float(self.accuracy.count),
        }


def compute_recalls(
    logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> dict[str, float]:
    """Computes the share of correct predictions among the images of each class.

    Args:
        logits: float [N, C].
        labels: int [N].
        classes: The names of the C classes.

    Returns:
        The recall, from 0 to 1, by the name of the class; classes without images are left out.
    """
    correct = logits.argmax(axis=1) == labels
    return {
        name: float(correct[labels == index].mean())
        for index, name in enumerate(classes)
        if (labels == index).any()
    }

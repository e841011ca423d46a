"""Sums and counts over images, and their ratios."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import numpy as np
from clu import metrics


@flax.struct.dataclass
class Totals(metrics.Collection):
    """Sums over the images seen so far. `compute()` divides them, once, by the count."""

    loss: metrics.Average
    accuracy: metrics.Average

    @classmethod
    def of_step(cls, sums: Mapping[str, Any]) -> "Totals":
        """From the sums of a step, see `faceemo.train.steps`."""
        return cls.of(**{name: sums[name] for name in ("loss", "correct", "count")})

    @classmethod
    def of(cls, *, loss: Any = 0, correct: Any = 0, count: Any = 0) -> "Totals":
        """From sums; of nothing without arguments."""
        loss, correct, count = (np.asarray(value, np.float64) for value in (loss, correct, count))
        return cls.empty().replace(
            loss=metrics.Average(total=loss, count=count),
            accuracy=metrics.Average(total=correct, count=count),
        )

    def to_dict(self) -> dict[str, float]:
        """The arguments of `of` that make these totals again, to the last bit."""
        return {
            "loss": float(self.loss.total),
            "correct": float(self.accuracy.total),
            "count": float(self.accuracy.count),
        }


def totals_of(logits: np.ndarray, labels: np.ndarray) -> Totals:
    """Of unweighted cross-entropy and hits, from logits [N, C] and labels int [N]."""
    logits = logits.astype(np.float64)
    top = logits.max(axis=1)
    losses = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses -= logits[np.arange(len(labels)), labels]
    correct = logits.argmax(axis=1) == labels
    return Totals.of(loss=losses.sum(), correct=correct.sum(), count=len(labels))

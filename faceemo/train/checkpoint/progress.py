"""The progress of a run: its finished epochs and its place in the current one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from faceemo.train.metrics import Totals


@dataclasses.dataclass(frozen=True)
class Progress:
    """Everything besides the arrays that training needs in order to resume.

    The best accuracy, its epoch and the epochs since (which early stopping counts) follow from the
    history; the order of images and their augmentation follow from seed, epoch and index.

    Attributes:
        history: One row per finished epoch, see `faceemo.train.loop.fit`.
        batch: Number of finished batches of the current epoch.
        totals: Sums over the images of these batches.
        seconds: Time spent on these batches.
        gradient_norms: Sum of the norms of these batches' gradients; NaN if some of them were
            trained by a version of faceemo that did not sum the norms.
    """

    history: tuple[dict[str, Any], ...] = ()
    batch: int = 0
    totals: Totals = dataclasses.field(default_factory=Totals.from_sums)
    seconds: float = 0.0
    gradient_norms: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns a JSON-serialisable form that keeps every digit."""
        return {
            "epochs": list(self.history),
            "batch": self.batch,
            "totals": self.totals.to_dict(),
            "seconds": self.seconds,
            "gradient_norms": self.gradient_norms,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Progress":
        """Inverts `to_dict`."""
        return cls(
            tuple(fields["epochs"]),
            fields["batch"],
            Totals.from_sums(**fields["totals"]),
            fields["seconds"],
            fields.get("gradient_norms", math.nan if fields["batch"] else 0.0),
        )


def best_epoch(history: Sequence[dict[str, Any]]) -> int:
    """Returns the number, from 1, of the first epoch with the highest validation accuracy."""
    return int(np.argmax([row["validation/accuracy"] for row in history])) + 1


def explain_early_stop(history: Sequence[dict[str, Any]], epochs: int, patience: int) -> str | None:
    """Returns a sentence on a run that ended before its last epoch; None if it did not.

    Args:
        history: One row per finished epoch.
        epochs: Number of epochs.
        patience: See `is_finished`.
    """
    if len(history) >= epochs or not is_finished(history, epochs, patience):
        return None
    waited = len(history) - best_epoch(history)
    return (
        f"stops after epoch {len(history)} of {epochs}: validation accuracy has not improved for "
        f"{waited} epoch{'s' * (waited != 1)} (patience={patience}); the best epoch is "
        f"{best_epoch(history)}. To train longer, raise patience above {waited}, or set it to 0"
    )


def is_finished(history: Sequence[dict[str, Any]], epochs: int, patience: int) -> bool:
    """Returns whether a run has done its last epoch or has used up its patience.

    Args:
        history: One row per finished epoch.
        epochs: Number of epochs.
        patience: Epochs without a better validation accuracy after which a run ends; 0 never ends
            it.
    """
    if len(history) >= epochs:
        return True
    if not history or not patience:
        return False
    return len(history) - best_epoch(history) >= patience

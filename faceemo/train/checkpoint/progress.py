"""Where a run stands, beside its arrays: finished epochs, and the place inside the next one."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from faceemo.train.metrics import Totals


@dataclasses.dataclass(frozen=True)
class Progress:
    """All that training needs to know beside the state.

    The best accuracy, its epoch and the epochs since (which early stopping counts) are read off the
    history; the order of images and their augmentation follow from seed, epoch and index.

    Attributes:
        history: one row per finished epoch, see `faceemo.train.loop.fit`.
        batch: how many batches of the next epoch are done.
        totals: sums over their images.
        seconds: spent on them.
    """

    history: tuple[dict[str, Any], ...] = ()
    batch: int = 0
    totals: Totals = dataclasses.field(default_factory=Totals.of)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which keeps every digit."""
        return {
            "epochs": list(self.history),
            "batch": self.batch,
            "totals": self.totals.to_dict(),
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Progress":
        """The inverse of `to_dict`."""
        return cls(
            tuple(fields["epochs"]),
            fields["batch"],
            Totals.of(**fields["totals"]),
            fields["seconds"],
        )


def best_epoch(history: Sequence[dict[str, Any]]) -> int:
    """The number, from 1, of the first epoch with the highest validation accuracy."""
    return int(np.argmax([row["validation/accuracy"] for row in history])) + 1


def finished(history: Sequence[dict[str, Any]], epochs: int, patience: int) -> bool:
    """Whether the last epoch is done, or patience (0 is endless) is over."""
    if len(history) >= epochs:
        return True
    if not history or not patience:
        return False
    return len(history) - best_epoch(history) >= patience

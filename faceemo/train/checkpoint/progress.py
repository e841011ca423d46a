"""The progress of a run: its finished epochs and its place in the current one."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from faceemo.config.field_words import spell
from faceemo.train.checkpoint import run_folders
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


def is_finished(history: Sequence[dict[str, Any]], config: ConfigDict) -> bool:
    """Returns whether a run has done its last epoch or has used up its patience.

    Args:
        history: One row per finished epoch.
        config: The run's configuration, of which `epochs`, `patience` and `patience_metric` are
            read.
    """
    if len(history) >= config.epochs:
        return True
    if not history or not config.patience:
        return False
    return len(history) - _watched_epoch(history, config.patience_metric) >= config.patience


def explain_end(history: Sequence[dict[str, Any]], config: ConfigDict) -> str:
    """Returns why a finished run ended, and how to train it further if that may help, in one line.

    Args:
        history: One row per finished epoch.
        config: The run's configuration.
    """
    done, best = len(history), best_epoch(history)
    losses = [row["validation/loss"] for row in history]
    if done < config.epochs:
        watched = _watched_epoch(history, config.patience_metric)
        advice = f". {_advise_longer(history, config)}" if losses[-1] < losses[watched - 1] else ""
        return (
            f"stops early, after epoch {done} of {config.epochs}: validation "
            f"{config.patience_metric} has not improved since epoch {watched} "
            f"(patience={config.patience}). {_describe_loss(history, watched)} The best accuracy "
            f"is that of epoch {best}{advice}"
        )
    end = f"ends after epoch {done} of {config.epochs}"
    if best == done:
        return f"{end}, its best so far. {_advise_longer(history, config)}"
    end = f"{end}. The best accuracy is that of epoch {best}"
    if losses[-1] == min(losses):
        return (
            f"{end}, but validation loss was lowest in the last epoch ({losses[-1]:.4f}). "
            f"{_advise_longer(history, config)}"
        )
    lowest = int(np.argmin(losses))
    return (
        f"{end}. Validation loss has risen from {losses[lowest]:.4f} in epoch {lowest + 1} to "
        f"{losses[-1]:.4f}: training longer is unlikely to help"
    )


def explain_finished(
    history: Sequence[dict[str, Any]], config: ConfigDict, workdir: Path
) -> str | None:
    """Returns, for a run that has nothing left to train, how to train it longer or anew.

    Args:
        history: One row per finished epoch.
        config: The run's configuration.
        workdir: The run's folder.

    Returns:
        The line; None if the run is not finished.
    """
    if not is_finished(history, config):
        return None
    return (
        f"finished    after epoch {len(history)} of {config.epochs}, so nothing is left to train. "
        f"{_advise_longer(history, config)}. To train anew, give it with --workdir "
        f"{run_folders.find_free(workdir)}"
    )


def _advise_longer(history: Sequence[dict[str, Any]], config: ConfigDict) -> str:
    """Returns a sentence on how to train a finished run longer, without its full stop."""
    done = len(history)
    if done < config.epochs:
        waited = done - _watched_epoch(history, config.patience_metric)
        return (
            f"To train longer, give the command again with {spell('patience', 2 * waited)}, or "
            f"with {spell('patience', 0)}, which never stops early"
        )
    more = spell("epochs", 2 * done)
    if config.schedule == "constant":
        return f"To train longer, give the command again with {more}: it goes on from here"
    return (
        f"To train longer, start a new run, with {more} for example: this one cannot go on, "
        f"because its learning rate has fallen to zero by schedule={config.schedule}"
    )


def _watched_epoch(history: Sequence[dict[str, Any]], metric: str) -> int:
    """Returns the number, from 1, of the first epoch with the best value of `patience_metric`."""
    if metric == "accuracy":
        return best_epoch(history)
    return int(np.argmin([row["validation/loss"] for row in history])) + 1


def _describe_loss(history: Sequence[dict[str, Any]], since: int) -> str:
    """Returns a sentence on the validation loss from an epoch, from 1, to the last one."""
    losses = [row["validation/loss"] for row in history]
    before, last = losses[since - 1], losses[-1]
    change = f"from {before:.4f} in epoch {since} to {last:.4f}"
    if last == before:
        return f"Validation loss is the same now as then, {last:.4f}."
    if last < before:
        lowest = ", its lowest value" if last == min(losses) else ""
        return (
            f"Validation loss still fell meanwhile, {change}{lowest}: training longer may help "
            f"({spell('patience_metric', 'loss')} waits for it)."
        )
    return f"Validation loss rose meanwhile, {change}: training longer is unlikely to help."

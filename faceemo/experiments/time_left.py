"""How long the rest of a sweep takes, estimated from its finished runs."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from faceemo.experiments.sweep_run import Run


def estimate_seconds_left(runs: Sequence[Run], overhead: float = 0.0) -> float | None:
    """Estimates the time that the unfinished runs need, from the finished ones.

    Training time is taken to be proportional to `_estimate_cost`, with the rate of the finished
    runs of the same backbone, or of all finished runs if there are none.

    Args:
        runs: All runs of the sweep.
        overhead: Time that a run needs in addition to its training, seconds.

    Returns:
        Seconds, or None if no run is finished.
    """
    finished = [run for run in runs if run.is_finished()]
    if not finished:
        return None

    def seconds_per_cost(runs: Sequence[Run]) -> float:
        seconds = sum((run.read_summary() or {})["seconds"] for run in runs)
        return seconds / sum(_estimate_cost(run.config) for run in runs)

    rates = {
        arch: seconds_per_cost([run for run in finished if run.config.arch == arch])
        for arch in {run.config.arch for run in finished}
    }
    overall = seconds_per_cost(finished)
    return sum(
        rates.get(run.config.arch, overall) * _estimate_cost(run.config) + overhead
        for run in runs
        if not run.is_finished()
    )


# Cost of a training step in forward passes, by the blocks that train: one pass forward, and two
# backward through the trained blocks (docs/speed.md has measured values).
_FORWARD_PASSES = {"0": 1.0, "1": 1.3, "2": 1.7, "3": 2.2, "all": 3.0}


def _estimate_cost(config: ConfigDict) -> float:
    """Estimates a run's cost, in a unit common to runs of one backbone on the same images."""
    images = config.steps_per_epoch * config.batch_size or 1
    area = config.image_size**2
    cached = config.unfreeze == "0" and config.augmentation == "none"
    epochs = 1 if cached and config.cache_features == "auto" else config.epochs
    return _FORWARD_PASSES[config.unfreeze] * epochs * images * area

"""The learning-rate range test (Smith 2017): how the loss goes while the rate grows.

The run's own steps, from its initial weights, at learning rates that grow by the same factor from
step to step. Nothing of it is kept but the losses.
"""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.data.augment.mixing import training_batches
from faceemo.data.pipeline import Split
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train import build_steps, parallel
from faceemo.train.distillation import Teaching

LOWEST, HIGHEST, STEPS = 1e-7, 1.0, 120
# Weight of the past in the smoothed loss, and how far above its minimum the test ends.
SMOOTHING, DIVERGED = 0.9, 2.0
# The first smoothed losses are means of next to nothing.
_SETTLING = 10


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What the test saw.

    Attributes:
        rates: float64 [N], ascending.
        losses: float64 [N], of the training batches, each before the step at its rate.
        smoothed: float64 [N], their exponential average, corrected for its start.
        suggestion: the rate at which the smoothed loss fell most steeply.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def table(self) -> str:
        """Ten rows or so, and the suggestion."""
        lines = [f"{'learning rate':>13}  {'loss':>8}  {'smoothed':>8}"]
        nearest = int(np.argmin(np.abs(self.rates - self.suggestion)))
        every = max(len(self.rates) // 12, 1)
        for place in sorted({*range(0, len(self.rates), every), nearest}):
            mark = "  suggested: the steepest fall" if place == nearest else ""
            lines.append(
                f"{self.rates[place]:>13.1e}  {self.losses[place]:>8.4f}  "
                f"{self.smoothed[place]:>8.4f}{mark}"
            )
        return "\n".join(lines)


def range_test(
    config: ConfigDict,
    model: Model,
    variables: dict[str, Any],
    preprocessing: Preprocessing,
    train: Split,
    teaching: Teaching | None = None,
    steps: int = STEPS,
) -> RangeTest:
    """Trains for at most so many steps, from `LOWEST` to `HIGHEST`.

    Args:
        config: of the run whose learning rate is sought; its own and its schedule are not used.
        model: of `faceemo.models.build`.
        variables: initial {'params', 'batch_stats'}.
        preprocessing: that belongs to the weights.
        train: the training images.
        teaching: of the run.
        steps: from the lowest rate to the highest; the test ends before where the loss diverges.

    Raises:
        UserError: if the loss never falls.
    """
    growth = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    labels = build_steps.labels_of(model, variables)
    optimizer = build_steps.optimizer_of(config, lambda n: LOWEST * growth**n, model, labels)
    train_step = build_steps.training_step(
        config, model, optimizer, labels, preprocessing, train, teaching
    )
    state = parallel.replicate(build_steps.first_state(config, variables, optimizer, labels))
    batches = (
        (epoch, batch)
        for epoch in itertools.count()
        for batch in training_batches(train, config, epoch)
    )
    rates, losses, smoothed, mean = [], [], [], 0.0
    for step in tqdm(range(steps), "range test", unit="step", leave=False, disable=None):
        epoch, batch = next(batches)
        state, sums = train_step(state, parallel.shard(batch), epoch)
        sums = parallel.unreplicate(sums)
        loss = float(sums["loss"] / sums["count"])
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        rates.append(LOWEST * growth**step)
        losses.append(loss)
        smoothed.append(mean / (1 - SMOOTHING ** (step + 1)))
        if not math.isfinite(loss) or (
            step > _SETTLING and smoothed[-1] > DIVERGED * min(smoothed[_SETTLING:])
        ):
            break
    return judged(np.array(rates), np.array(losses), np.array(smoothed))


def judged(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray) -> RangeTest:
    """The test with its suggestion: the steepest fall before the minimum, in log(rate).

    Raises:
        UserError: if the loss never falls.
    """
    finite = np.isfinite(smoothed)
    count = len(smoothed) if finite.all() else int(np.argmin(finite))
    lowest = int(np.argmin(smoothed[_SETTLING:count])) + _SETTLING if count > _SETTLING else 0
    if lowest < _SETTLING + 2:
        raise UserError(
            expected="a loss that falls at some learning rate",
            found=f"none below {smoothed[min(_SETTLING, len(smoothed) - 1)]:.3f}, where it began",
            fix="check data, labels and weights; a larger batch_size makes the losses steadier",
        )
    slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    steepest = int(np.argmin(slopes[_SETTLING:])) + _SETTLING
    return RangeTest(rates, losses, smoothed, float(rates[steepest]))

"""The learning-rate range test (Smith 2017): the loss while the learning rate grows.

It takes the run's own training steps, from its initial weights, at learning rates that grow by the
same factor from step to step, and keeps nothing but the losses.
"""

import dataclasses
import itertools
import math

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.data.augment.mixing import training_batches
from faceemo.data.pipeline import Split
from faceemo.data.votes import targets
from faceemo.errors import UserError
from faceemo.train import build_steps, freezing, parallel
from faceemo.train.distillation import Distillation
from faceemo.train.start import Start

MIN_RATE, MAX_RATE, STEPS = 1e-7, 1.0, 120
# Decay of the smoothed loss; the test ends when that loss exceeds its minimum by this factor.
_SMOOTHING, _DIVERGED = 0.9, 2.0
# Smoothed losses before this step are means of too few to count.
_FIRST = 10


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The losses of a range test, and the learning rate that they suggest.

    Attributes:
        rates: Learning rates, float64 [N], ascending.
        losses: Losses of the training batches, float64 [N], each before the step at its rate.
        smoothed: Exponential average of the losses, float64 [N], corrected for its start.
        suggestion: The learning rate at which the smoothed loss fell most steeply.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    @classmethod
    def from_losses(
        cls, rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray
    ) -> "RangeTest":
        """Finds the steepest fall, over log(rate), before the minimum.

        Raises:
            UserError: If the loss never falls.
        """
        finite = np.isfinite(smoothed)
        count = len(smoothed) if finite.all() else int(np.argmin(finite))
        lowest = int(np.argmin(smoothed[_FIRST:count])) + _FIRST if count > _FIRST else 0
        if lowest < _FIRST + 2:
            begin = smoothed[min(_FIRST, len(smoothed) - 1)]
            raise UserError(
                expected="a loss that falls at some learning rate",
                found=f"no loss below {begin:.3f}, that of the lowest learning rates",
                fix="check data, labels and weights; a larger batch_size makes the loss smoother",
            )
        slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
        steepest = int(np.argmin(slopes[_FIRST:])) + _FIRST
        return cls(rates, losses, smoothed, float(rates[steepest]))

    def format_table(self) -> str:
        """Formats about a dozen of the steps as a table, and marks the suggestion."""
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
    start: Start,
    train: Split,
    distillation: Distillation | None = None,
    steps: int = STEPS,
) -> RangeTest:
    """Trains while the learning rate grows from `MIN_RATE` to `MAX_RATE`.

    Args:
        config: The run's configuration; its learning rate and its schedule are not used.
        start: The network with its initial variables.
        train: The training images.
        distillation: The run's teachers, or None.
        steps: Steps from the lowest to the highest rate; the test ends early if the loss diverges.

    Raises:
        UserError: If the loss never falls, or the votes are missing that the targets are made of.
    """
    targets.refuse_missing(config, train)
    growth = (MAX_RATE / MIN_RATE) ** (1 / (steps - 1))
    model, variables = start.model, start.variables
    variable_labels = freezing.label_variables(model, variables)
    optimizer = build_steps.build_optimizer(
        config, lambda n: MIN_RATE * growth**n, model, variable_labels
    )
    train_step = build_steps.build_train_step(
        config, model, optimizer, variable_labels, start.preprocessing, train, distillation
    )
    state = build_steps.build_state(config, variables, optimizer, variable_labels)
    state = parallel.replicate(state)
    batches = (
        (epoch, batch)
        for epoch in itertools.count()
        for batch in training_batches(
            train, config, epoch, part=parallel.own_part(config.batch_size)
        )
    )
    rates, losses, smoothed, mean = [], [], [], 0.0
    for step in tqdm(range(steps), "range test", unit="step", leave=False, disable=None):
        epoch, batch = next(batches)
        state, sums = train_step(state, parallel.shard(batch), epoch)
        sums = parallel.unreplicate(sums)
        loss = float(sums["loss"] / sums["count"])
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        rates.append(MIN_RATE * growth**step)
        losses.append(loss)
        smoothed.append(mean / (1 - _SMOOTHING ** (step + 1)))
        if not math.isfinite(loss) or (
            step > _FIRST and smoothed[-1] > _DIVERGED * min(smoothed[_FIRST:])
        ):
            break
    return RangeTest.from_losses(np.array(rates), np.array(losses), np.array(smoothed))

"""The learning rate over a run: constant, or warmed up and then lowered along a cosine."""

import optax
from ml_collections import ConfigDict

from faceemo.train.optimizer import Rate


def make_schedule(config: ConfigDict, steps: int) -> Rate:
    """The learning rate of a step, from the number of steps taken before it.

    Warm-up (Goyal et al. 2017) rises in a straight line, from learning_rate / n in the first of its
    n steps, so that none is idle, to learning_rate in the last. The cosine (Loshchilov and Hutter
    2017, without restarts) falls from there and would be zero in the step after the run's last.

    Args:
        config: has the fields learning_rate, schedule, warmup_epochs and epochs.
        steps: per epoch.

    Returns:
        the learning rate itself where it is constant.
    """
    peak, total = config.learning_rate, config.epochs * steps
    warmup = min(round(config.warmup_epochs * steps), total - 1)
    if config.schedule == "constant":
        if not warmup:
            return peak
        return optax.warmup_constant_schedule(peak / warmup, peak, warmup - 1)
    if not warmup:
        return optax.cosine_decay_schedule(peak, total)
    return optax.warmup_cosine_decay_schedule(peak / warmup, peak, warmup - 1, total)

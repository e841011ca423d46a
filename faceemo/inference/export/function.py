"""The whole way from stored pixels to calibrated probabilities as one function to export."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.steps import make_eval_step


def probabilities_of(trained: TrainedModel) -> Callable[[jax.Array], jax.Array]:
    """Makes `probabilities(images)`, with weights, preprocessing and temperature inside.

    Args:
        trained: the network and what belongs to it.

    Returns:
        a pure function of uint8 [N, S, S] (grey, 0..255, S the run's native size) that gives
        float32 [N, C], each row together 1; row by row what `Predictor.probabilities` gives.
    """
    step = make_eval_step(trained.model, trained.preprocessing)

    def probabilities(images: jax.Array) -> jax.Array:
        logits = step(trained.variables["params"], trained.variables["batch_stats"], images)
        return jax.nn.softmax(logits / jnp.float32(trained.temperature), axis=-1)

    return probabilities

"""A trained network as one pure function, from stored pixels to calibrated probabilities."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.eval_step import make_eval_step


def make_probabilities(trained: TrainedModel) -> Callable[[jax.Array], jax.Array]:
    """Makes `probabilities(faces)`, with weights, preprocessing and temperature inside.

    Args:
        trained: The network.

    Returns:
        A pure function of faces, uint8 [N, S, S], 0..255, S the run's native size, or [N, S, S, 3]
        (RGB) for a network that sees colour. It returns float32 [N, C], whose rows sum to 1 and
        equal those of `Predictor.probabilities`.
    """
    step = make_eval_step(trained.model, trained.preprocessing)

    def probabilities(faces: jax.Array) -> jax.Array:
        logits = step(trained.variables["params"], trained.variables["batch_stats"], faces)
        return jax.nn.softmax(logits / jnp.float32(trained.temperature), axis=-1)

    return probabilities

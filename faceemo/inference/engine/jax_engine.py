"""The engine that runs a network by JAX, which knows every network on every device."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from faceemo.data.pipeline import pad_rows
from faceemo.inference.engine.batches import padded_size
from faceemo.inference.engine.names import JAX
from faceemo.models import compiler
from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.eval_step import make_eval_step


class JaxEngine:
    """Computes logits with JAX, on its first device; thread-safe.

    Attributes:
        name: The engine's name.
    """

    name = JAX

    def __init__(self, trained: TrainedModel):
        """Takes the network."""
        self._trained = trained

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the network; programs are compiled anew."""
        return JaxEngine, (self._trained,)

    def __str__(self) -> str:
        return f"JAX {jax.__version__}"

    def logits(self, crops: np.ndarray) -> np.ndarray:
        """Computes logits float32 [N, C] of 1 to `MAX_BATCH` faces in the network's format."""
        step, variables = self._on_device
        padded = pad_rows(crops, padded_size(len(crops)) - len(crops), 0)
        logits = step(variables["params"], variables["batch_stats"], padded)
        return np.asarray(logits)[: len(crops)]

    # Made when first needed, because unpickling must not hang either, see `forks`.
    @functools.cached_property
    def _on_device(self) -> tuple[Callable[..., jax.Array], dict[str, Any]]:
        """The compiled step and the variables."""
        step = make_eval_step(self._trained.model, self._trained.preprocessing)
        program = jax.jit(step, compiler_options=compiler.options())
        return program, jax.device_put(self._trained.variables)

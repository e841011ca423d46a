"""Where in an image the evidence for a class lies: Grad-CAM.

The gradient is that of a class's logit with respect to the last convolution's output, not to any
parameter: whether blocks are frozen does not matter.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.steps import plain_inputs

BATCH = 32


def heat_of_map(
    logits_of: Callable[[jax.Array], jax.Array], last_map: jax.Array, classes: jax.Array
) -> jax.Array:
    """Grad-CAM: what of a map speaks for a class, by the mean gradient of each channel.

    A place where no channel has a gradient did not take part and is 0: the pooling behind VGG16's
    map drops the last row and column of an odd one, which the mean alone would show as heat.

    Args:
        logits_of: map [B, h, w, C] -> logits [B, classes], each image by itself.
        last_map: [B, h, w, C].
        classes: int32 [B], one per image.

    Returns:
        float32 [B, h, w], from 0; in the units of the logit, nothing is scaled.

    Source: R. R. Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2.
    """

    def total(values: jax.Array) -> jax.Array:
        # images do not mix, so that the gradient of the sum is each image's own
        return jnp.take_along_axis(logits_of(values), classes[:, None], axis=1).sum()

    gradient = jax.grad(total)(last_map)
    weights = gradient.mean((1, 2), dtype=jnp.float32)
    heat = jnp.einsum("bhwc,bc->bhw", last_map.astype(jnp.float32), weights)
    return jax.nn.relu(heat) * (gradient != 0).any(-1)


def make_heat(
    model: Model, preprocessing: Preprocessing, variables: dict[str, Any], batch: int = BATCH
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Makes `heat(images, classes)`.

    `images` is uint8 [N, H, W], as stored; `classes` int [N]. The result is float32 [N, h, w], at
    the resolution of the last convolution, each image scaled to a maximum of 1; all 0 where
    nothing speaks for the class.

    Args:
        model: of `faceemo.models.build`.
        preprocessing: that belongs to the weights.
        variables: {'params', 'batch_stats'}.
        batch: images at once; fewer are padded.
    """

    @jax.jit
    def step(variables: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
        params = variables["params"]
        inputs = plain_inputs(images, model, preprocessing)
        last_map = model.last_map(params, variables["batch_stats"], inputs)
        return heat_of_map(lambda values: model.logits_of_map(params, values), last_map, classes)

    def heat(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        found = []
        starts = range(0, len(images), batch)
        quiet = True if len(starts) < 2 else None  # a bar of one step tells nothing
        for start in tqdm(starts, "Grad-CAM", leave=False, disable=quiet):
            chosen = slice(start, start + batch)
            rows = images[chosen]
            # always the same shape, compiled once
            padding = ((0, batch - len(rows)), (0, 0), (0, 0))
            answers = np.pad(classes[chosen].astype(np.int32), padding[:1])
            found.append(np.asarray(step(variables, np.pad(rows, padding), answers))[: len(rows)])
        heat = np.concatenate(found)
        peaks = heat.max(axis=(1, 2), keepdims=True)
        return np.divide(heat, peaks, out=np.zeros_like(heat), where=peaks > 0)

    return heat

"""Grad-CAM: a map of the evidence for a class in an image.

The gradient is taken of a class's logit with respect to the last convolution's output, not to
parameters, so frozen blocks make no difference.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from faceemo.data.pipeline import pad_rows
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.eval_step import plain_inputs

BATCH = 32


def compute_heat(
    logits_of: Callable[[jax.Array], jax.Array], last_map: jax.Array, classes: jax.Array
) -> jax.Array:
    """Computes Grad-CAM from a feature map, weighting each channel by its mean gradient.

    A position without a gradient in any channel has no influence on the logits, and its heat is 0:
    the pooling after VGG16's last map drops the last row and column of an odd map, which the mean
    gradient alone would show as heat.

    Args:
        logits_of: Maps a feature map [B, h, w, C] to logits [B, classes], each image separately.
        last_map: Feature map [B, h, w, C].
        classes: One class per image, int32 [B].

    Returns:
        Heat float32 [B, h, w], at least 0, in the units of the logits (not scaled).

    Source: R. R. Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2.
    """

    def total(values: jax.Array) -> jax.Array:
        # images do not mix, so the gradient of the sum holds the gradient of each image
        return jnp.take_along_axis(logits_of(values), classes[:, None], axis=1).sum()

    gradient = jax.grad(total)(last_map)
    weights = gradient.mean((1, 2), dtype=jnp.float32)
    heat = jnp.einsum("bhwc,bc->bhw", last_map.astype(jnp.float32), weights)
    return jax.nn.relu(heat) * (gradient != 0).any(-1)


def make_heat(
    model: Model, preprocessing: Preprocessing, variables: dict[str, Any], batch: int = BATCH
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Makes `heat(images, classes)`, which computes Grad-CAM of images.

    `images` is uint8 [N, H, W] or [N, H, W, 3], as stored; `classes` is int [N]. The result is
    float32 [N, h, w] at the resolution of the last convolution. Each map is scaled to a maximum of
    1, or is all 0 without evidence for the class.

    Args:
        model: The network (`faceemo.models.build`).
        preprocessing: Preprocessing that belongs to the weights.
        variables: The network's variables, {'params', 'batch_stats'}.
        batch: Number of images per batch; a smaller batch is padded.
    """

    @jax.jit
    def step(variables: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
        params = variables["params"]
        inputs = plain_inputs(images, model, preprocessing)
        last_map = model.last_map(params, variables["batch_stats"], inputs)
        return compute_heat(lambda values: model.logits_from_map(params, values), last_map, classes)

    def heat(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        maps = []
        starts = range(0, len(images), batch)
        quiet = True if len(starts) < 2 else None  # a progress bar of one step is useless
        for start in tqdm(starts, "Grad-CAM", leave=False, disable=quiet):
            chosen = slice(start, start + batch)
            rows = images[chosen]
            # always the same shape, so it is compiled once
            padding = batch - len(rows)
            targets = pad_rows(classes[chosen].astype(np.int32), padding, 0)
            padded = pad_rows(rows, padding, 0)
            maps.append(np.asarray(step(variables, padded, targets))[: len(rows)])
        heat = np.concatenate(maps)
        peaks = heat.max(axis=(1, 2), keepdims=True)
        return np.divide(heat, peaks, out=np.zeros_like(heat), where=peaks > 0)

    return heat

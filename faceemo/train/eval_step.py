"""The evaluation step: a pure function, all arithmetic on the device.

It is all that prediction needs of training, so it has no optimiser and imports none.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import ArrayLike

from faceemo.data.augment.augment import enlarge
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing, preprocess


def plain_inputs(images: Any, model: Model, preprocessing: Preprocessing) -> jax.Array:
    """Enlarges and preprocesses images without augmentation.

    Args:
        images: uint8 [B, H, W] in grey, or [B, H, W, 3] in colour.
        model: The network.
        preprocessing: The preprocessing that belongs to its weights.

    Returns:
        float32 [B, S, S, 3], S being the network's input size.
    """
    return preprocess(enlarge(images, model.image_size), preprocessing)


def make_eval_step(
    model: Model, preprocessing: Preprocessing | None
) -> Callable[[Any, Any, ArrayLike], jax.Array]:
    """Makes `step(params, batch_stats, images) -> logits`.

    `images` is as in `plain_inputs`, or features if `preprocessing` is None; the logits are float32
    [B, C]. Nothing is random and BatchNorm uses its running statistics, so that no row depends on
    another.
    """

    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = images
        if preprocessing is not None:
            inputs = plain_inputs(images, model, preprocessing)
        logits, _ = model.apply(params, batch_stats, inputs)
        return logits

    return step

"""One training step and one evaluation step: pure functions, all arithmetic on the device."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from faceemo.data.augment import LEVELS, augment, enlarge, image_keys
from faceemo.data.pipeline import Batch
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train.optim import FREEZE, TRAIN, map_trained
from faceemo.train.state import TrainState

Sums = dict[str, jax.Array]


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    labels: Any,
    preprocessing: Preprocessing,
    *,
    augmentation: str,
    class_weights: ArrayLike,
    axis_name: str,
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]:
    """Makes `step(state, batch, epoch) -> (state, sums)`, to be mapped over `axis_name`.

    The result does not depend on how many devices share the batch, nor on its padding: losses and
    gradients are sums over images, divided by the number of images on all devices, and an image's
    randomness comes from its own index.

    Args:
        model: what is trained.
        optimizer: of `optim.make_optimizer`.
        labels: of `optim.label_params`.
        preprocessing: that belongs to the weights.
        augmentation: a key of `faceemo.data.augment.LEVELS`.
        class_weights: float32 [C], factors of the images' losses. The weighted sum is divided by
            the number of images, as Keras does, not by the sum of weights.
        axis_name: of the mapped device axis.

    Returns:
        the step. Its `sums` are over all devices: 'loss' (weighted cross-entropy), 'correct' and
        'count', float32 scalars; 'broken_gradients', int32, how many values are not finite.
    """
    weights = jnp.asarray(class_weights)

    def step(state: TrainState, batch: Batch, epoch: jax.Array) -> tuple[TrainState, Sums]:
        inputs, dropout_keys = augmented_inputs(
            state, batch, epoch, model, preprocessing, augmentation
        )
        count = jax.lax.psum(batch.mask.sum(), axis_name)

        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            params = jax.tree.map(
                lambda name, leaf: jax.lax.stop_gradient(leaf) if name == FREEZE else leaf,
                labels,
                params,
            )
            logits, batch_stats = model.apply(
                params,
                state.batch_stats,
                inputs,
                train=True,
                mask=batch.mask,
                keys=dropout_keys,
                axis_name=axis_name,
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
            total = (losses * weights[batch.labels] * batch.mask).sum()
            return total / count, (logits, batch_stats)

        (value, (logits, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params
        )
        gradients = map_trained(lambda leaf: jax.lax.psum(leaf, axis_name), labels, gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        # Not optax.apply_updates: adding zero would turn a frozen -0.0 into 0.0.
        params = map_trained(jnp.add, labels, state.params, updates)
        correct = ((logits.argmax(-1) == batch.labels) * batch.mask).sum()
        broken = map_trained(lambda leaf: (~jnp.isfinite(leaf)).sum(), labels, gradients)
        sums = {
            "loss": jax.lax.psum(value, axis_name) * count,
            "correct": jax.lax.psum(correct, axis_name),
            "count": count,
            "broken_gradients": sum(
                number
                for name, number in zip(
                    jax.tree.leaves(labels), jax.tree.leaves(broken), strict=True
                )
                if name == TRAIN
            ),
        }
        state = dataclasses.replace(
            state, step=state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state
        )
        return state, sums

    return step


def augmented_inputs(
    state: TrainState,
    batch: Batch,
    epoch: jax.Array,
    model: Model,
    preprocessing: Preprocessing,
    augmentation: str,
) -> tuple[jax.Array, jax.Array]:
    """What the network is shown in training: float32 [B, S, S, 3], and keys [B] for its dropout.

    Both depend on an image's own (key, epoch, index) and on nothing else.
    """
    pairs = jax.vmap(jax.random.split)(image_keys(state.rng, epoch, batch.index))
    images = augment(batch.images, pairs[:, 0], LEVELS[augmentation], model.image_size)
    return preprocess(images, preprocessing), pairs[:, 1]


def plain_inputs(images: Any, model: Model, preprocessing: Preprocessing) -> jax.Array:
    """What the network is shown of images uint8 [B, H, W] otherwise: float32 [B, S, S, 3]."""
    return preprocess(enlarge(images, model.image_size), preprocessing)


def make_eval_step(
    model: Model, preprocessing: Preprocessing
) -> Callable[[Any, Any, ArrayLike], jax.Array]:
    """Makes `step(params, batch_stats, images) -> logits`.

    `images` is uint8 [B, H, W]; the logits are float32 [B, C]. Nothing is random and BatchNorm uses
    its running statistics, so that a row depends on no other row.
    """

    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = plain_inputs(images, model, preprocessing)
        logits, _ = model.apply(params, batch_stats, inputs)
        return logits

    return step

"""The training step of the study, before any recipe: the expected result with all options off."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from faceemo.config import AUGMENTATIONS
from faceemo.data.augment.augment import augment, image_keys
from faceemo.models.preprocessing import preprocess
from faceemo.train.freezing import FREEZE, TRAIN, map_trained


def make_plain_adam(learning_rate, b1=0.9, b2=0.999, eps=1e-7):
    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(updates, state, params=None):
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        steps = count.astype(jnp.float32)
        rate = learning_rate * jnp.sqrt(1 - b2**steps) / (1 - b1**steps)
        moves = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + eps), mean, square)
        return moves, optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(init, update)


def make_plain_optimizer(learning_rate, param_labels):
    return optax.multi_transform(
        {TRAIN: make_plain_adam(learning_rate), FREEZE: optax.set_to_zero()}, param_labels
    )


def make_plain_step(
    model, optimizer, param_labels, preprocessing, augmentation, weights, axis_name
):
    weights = jnp.asarray(weights)

    def step(state, batch, epoch):
        pairs = jax.vmap(jax.random.split)(image_keys(state.rng, epoch, batch.index))
        images = augment(batch.images, pairs[:, 0], AUGMENTATIONS[augmentation], model.image_size)
        inputs = preprocess(images, preprocessing)
        count = jax.lax.psum(batch.mask.sum(), axis_name)

        def loss(params):
            params = jax.tree.map(
                lambda name, leaf: jax.lax.stop_gradient(leaf) if name == FREEZE else leaf,
                param_labels,
                params,
            )
            logits, batch_stats = model.apply(
                params,
                state.batch_stats,
                inputs,
                train=True,
                mask=batch.mask,
                keys=pairs[:, 1],
                axis_name=axis_name,
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
            return (losses * weights[batch.labels] * batch.mask).sum() / count, (
                logits,
                batch_stats,
            )

        (value, (logits, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params
        )
        gradients = map_trained(lambda leaf: jax.lax.psum(leaf, axis_name), param_labels, gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = map_trained(jnp.add, param_labels, state.params, updates)
        correct = ((logits.argmax(-1) == batch.labels) * batch.mask).sum()
        sums = {
            "loss": jax.lax.psum(value, axis_name) * count,
            "correct": jax.lax.psum(correct, axis_name),
            "count": count,
        }
        state = dataclasses.replace(
            state, step=state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state
        )
        return state, sums

    return step

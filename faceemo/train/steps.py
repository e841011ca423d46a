"""The training step: a pure function, all arithmetic on the device."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from faceemo.config import AUGMENTATIONS
from faceemo.data.augment.augment import augment, image_keys
from faceemo.data.augment.erase import erase
from faceemo.data.augment.mixing import MixedBatch, Mixing, mix
from faceemo.data.pipeline import Batch
from faceemo.models import Model
from faceemo.models.layers.over_devices import add_up
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train.distillation import Distillation
from faceemo.train.ema import update_ema
from faceemo.train.freezing import FREEZE, list_trained, map_trained
from faceemo.train.losses import Target, distillation_loss, sum_label_losses
from faceemo.train.state import TrainState

Sums = dict[str, jax.Array]

# Numbers that are folded into an image's key; `jax.random.split` uses 0 and 1.
_ERASING, _MIXING = 2, 3


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    param_labels: Any,
    preprocessing: Preprocessing | None,
    *,
    augmentation: str,
    class_weights: ArrayLike,
    axis_name: str,
    label_smoothing: float = 0.0,
    erasing: float = 0.0,
    mixing: Mixing | None = None,
    ema: float = 0.0,
    distillation: Distillation | None = None,
) -> Callable[[TrainState, Any, jax.Array], tuple[TrainState, Sums]]:
    """Makes `step(state, batch, epoch) -> (state, sums)`, to be mapped over `axis_name`.

    The result does not depend on how many devices share the batch, nor on its padding: losses and
    gradients are sums over images, divided by the number of images on all devices, and an image's
    randomness comes from its own index.

    Args:
        model: The network that trains.
        optimizer: The optimiser, see `freezing.make_optimizer`.
        param_labels: Tree like the parameters whose leaves are 'train' or 'freeze', see
            `freezing.label_params`.
        preprocessing: The preprocessing that belongs to the weights; None if the batches hold
            features instead of images (see `faceemo.train.feature_cache`), to which only dropout
            applies.
        augmentation: A level, a key of `faceemo.config.AUGMENTATIONS`.
        class_weights: float32 [C], factors of the images' losses; if a target is shared among
            classes, each one's part has its own. The weighted sum is divided by the number of
            images, as Keras does, not by the sum of weights.
        axis_name: Name of the mapped device axis.
        label_smoothing: Share of each target that is spread over all classes (Szegedy et al. 2016).
        erasing: Probability that a part of an image is erased.
        mixing: How each image is mixed with its partner, or None. Both targets then count, for loss
            and accuracy, by their image's share, and the step takes a `MixedBatch`.
        ema: Decay of the parameters' moving average; 0 if the state has none.
        distillation: The teachers, whose probabilities are a part of the targets, or None. Class
            weights and smoothing do not apply to that part.

    Returns:
        The step. Its `sums` are over all devices: 'loss' (weighted cross-entropy), 'correct' and
        'count', float32 scalars; 'broken_gradients', int32, the number of non-finite values;
        'gradient_norm', float32, the norm of the gradients of all leaves that train, before
        clipping.
    """
    weights = jnp.asarray(class_weights)

    def step(
        state: TrainState, batch: Batch | MixedBatch, epoch: jax.Array
    ) -> tuple[TrainState, Sums]:
        def make_inputs(model: Model, preprocessing: Preprocessing | None) -> TrainingInputs:
            return training_inputs(
                state,
                batch,
                epoch,
                model,
                preprocessing,
                augmentation,
                erasing=erasing,
                mixing=mixing,
            )

        shown = make_inputs(model, preprocessing)
        count = add_up(batch.mask.sum(), axis_name)
        teacher_probabilities: Any = distillation and distillation.predict(
            lambda *teacher: make_inputs(*teacher).inputs
        )

        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            params = jax.tree.map(
                lambda label, leaf: jax.lax.stop_gradient(leaf) if label == FREEZE else leaf,
                param_labels,
                params,
            )
            logits, batch_stats = model.apply(
                params,
                state.batch_stats,
                shown.inputs,
                train=True,
                mask=batch.mask,
                keys=shown.keys,
                axis_name=axis_name,
            )
            total = sum_label_losses(logits, shown.targets, weights, label_smoothing)
            if distillation:
                losses = distillation_loss(logits, teacher_probabilities, distillation.temperature)
                share = distillation.share
                total = (1 - share) * total + share * (losses * batch.mask).sum()
            return total / count, (logits, batch_stats)

        (value, (logits, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params
        )
        gradients = map_trained(lambda leaf: add_up(leaf, axis_name), param_labels, gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        # Not optax.apply_updates: adding zero would turn a frozen -0.0 into 0.0.
        params = map_trained(jnp.add, param_labels, state.params, updates)
        predicted = logits.argmax(-1)
        hits: Any = sum(((predicted == one.labels) * one.share).sum() for one in shown.targets)
        trained = list_trained(param_labels, gradients)
        sums = {
            "loss": add_up(value, axis_name) * count,
            "correct": add_up(hits, axis_name),
            "count": count,
            "broken_gradients": sum((~jnp.isfinite(leaf)).sum() for leaf in trained),
            "gradient_norm": optax.global_norm(trained),
        }
        state = dataclasses.replace(
            state, step=state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state
        )
        return (update_ema(state, ema) if ema else state), sums

    return step


class TrainingInputs(NamedTuple):
    """A batch as the network is trained on it.

    Attributes:
        inputs: float32 [B, S, S, 3], or the features in the batch.
        keys: PRNG keys [B] for each image's dropout.
        targets: One target of every image, or two where images are mixed.
    """

    inputs: jax.Array
    keys: jax.Array
    targets: list[Target]


def training_inputs(
    state: TrainState,
    batch: Batch | MixedBatch,
    epoch: jax.Array,
    model: Model,
    preprocessing: Preprocessing | None,
    augmentation: str,
    *,
    erasing: float = 0.0,
    mixing: Mixing | None = None,
) -> TrainingInputs:
    """Enlarges, augments, erases, mixes and preprocesses the images of a batch.

    The result depends on each image's (key, epoch, index) and on nothing else. The arguments are
    those of `make_train_step`; without `erasing` and `mixing`, images are neither erased nor mixed.
    """
    keys = image_keys(state.rng, epoch, batch.index)
    images, targets = batch.images, [Target(batch.labels, batch.mask, batch.targets)]
    if preprocessing is None:
        return TrainingInputs(images, _split_keys(keys)[:, 1], targets)
    images = _augment(images, keys, model.image_size, augmentation, erasing)
    if mixing:
        assert isinstance(batch, MixedBatch)
        partner = batch.partner
        partner_keys = image_keys(state.rng, epoch, partner.index)
        others = _augment(partner.images, partner_keys, model.image_size, augmentation, erasing)
        images, share = mix(images, others, _fold_in(keys, _MIXING), mixing)
        targets = [
            Target(batch.labels, batch.mask * share, batch.targets),
            Target(partner.labels, batch.mask * (1 - share), partner.targets),
        ]
    return TrainingInputs(preprocess(images, preprocessing), _split_keys(keys)[:, 1], targets)


def _augment(
    images: jax.Array, keys: jax.Array, size: int, augmentation: str, erasing: float
) -> jax.Array:
    """Enlarges, augments and perhaps erases images: float32 [B, size, size(, 3)], 0 to 255."""
    images = augment(images, _split_keys(keys)[:, 0], AUGMENTATIONS[augmentation], size)
    return erase(images, _fold_in(keys, _ERASING), erasing) if erasing else images


def _split_keys(keys: jax.Array) -> jax.Array:
    """Splits each image's key into one for its augmentation and one for its dropout."""
    return jax.vmap(jax.random.split)(keys)


def _fold_in(keys: jax.Array, number: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)

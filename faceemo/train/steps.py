"""One training step and one evaluation step: pure functions, all arithmetic on the device."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from faceemo.data.augment.augment import LEVELS, augment, enlarge, image_keys
from faceemo.data.augment.erase import erase
from faceemo.data.augment.mixing import MixedBatch, Mixing, mix
from faceemo.data.pipeline import Batch
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing, preprocess
from faceemo.train.distillation import Teaching
from faceemo.train.ema import update_ema
from faceemo.train.freezing import FREEZE, TRAIN, map_trained
from faceemo.train.state import TrainState

Sums = dict[str, jax.Array]

# What an image's key is folded with; `jax.random.split` takes 0 and 1.
_ERASING, _MIXING = 2, 3


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    labels: Any,
    preprocessing: Preprocessing | None,
    *,
    augmentation: str,
    class_weights: ArrayLike,
    axis_name: str,
    label_smoothing: float = 0.0,
    erasing: float = 0.0,
    mixing: Mixing | None = None,
    ema: float = 0.0,
    teaching: Teaching | None = None,
) -> Callable[[TrainState, Any, jax.Array], tuple[TrainState, Sums]]:
    """Makes `step(state, batch, epoch) -> (state, sums)`, to be mapped over `axis_name`.

    The result does not depend on how many devices share the batch, nor on its padding: losses and
    gradients are sums over images, divided by the number of images on all devices, and an image's
    randomness comes from its own index.

    Args:
        model: what is trained.
        optimizer: of `optim.make_optimizer`.
        labels: of `optim.label_params`.
        preprocessing: that belongs to the weights; None if the batches hold features in the place
            of images (see `faceemo.train.feature_cache`), which nothing but dropout changes.
        augmentation: a key of `faceemo.data.augment.augment.LEVELS`.
        class_weights: float32 [C], factors of the images' losses. The weighted sum is divided by
            the number of images, as Keras does, not by the sum of weights.
        axis_name: of the mapped device axis.
        label_smoothing: share of each target that is spread over all classes (Szegedy et al. 2016).
        erasing: probability that a part of an image is erased.
        mixing: of each image with its partner; both labels then count, for loss and for hits, by
            their image's share, and the step takes a `MixedBatch`.
        ema: decay of the average of parameters; the state has one where it is not 0.
        teaching: by other networks, whose answers then are a part of the targets; class weights and
            smoothing are the labels' alone.

    Returns:
        the step. Its `sums` are over all devices: 'loss' (weighted cross-entropy), 'correct' and
        'count', float32 scalars; 'broken_gradients', int32, how many values are not finite.
    """
    weights = jnp.asarray(class_weights)

    def step(
        state: TrainState, batch: Batch | MixedBatch, epoch: jax.Array
    ) -> tuple[TrainState, Sums]:
        shown = training_inputs(
            state, batch, epoch, model, preprocessing, augmentation, erasing=erasing, mixing=mixing
        )
        count = jax.lax.psum(batch.mask.sum(), axis_name)
        answers: Any = teaching and teaching.answers(
            lambda seer, spec: (
                training_inputs(
                    state, batch, epoch, seer, spec, augmentation, erasing=erasing, mixing=mixing
                ).inputs
            )
        )

        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            params = jax.tree.map(
                lambda name, leaf: jax.lax.stop_gradient(leaf) if name == FREEZE else leaf,
                labels,
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
            total = sum(
                (cross_entropy(logits, named, label_smoothing) * weights[named] * share).sum()
                for named, share in shown.targets
            )
            if teaching:
                taught = (teaching.loss(logits, answers) * batch.mask).sum()
                total = (1 - teaching.share) * total + teaching.share * taught
            return total / count, (logits, batch_stats)

        (value, (logits, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params
        )
        gradients = map_trained(lambda leaf: jax.lax.psum(leaf, axis_name), labels, gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        # Not optax.apply_updates: adding zero would turn a frozen -0.0 into 0.0.
        params = map_trained(jnp.add, labels, state.params, updates)
        hits = sum(((logits.argmax(-1) == named) * share).sum() for named, share in shown.targets)
        broken = map_trained(lambda leaf: (~jnp.isfinite(leaf)).sum(), labels, gradients)
        sums = {
            "loss": jax.lax.psum(value, axis_name) * count,
            "correct": jax.lax.psum(hits, axis_name),
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
        return (update_ema(state, ema) if ema else state), sums

    return step


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
    """Of every row: float32 [B], of logits [B, C] and labels int32 [B].

    With smoothing s (0 to below 1) a target is 1 - s for the label, plus s / C for every class.
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


class Shown(NamedTuple):
    """What the network is trained on.

    Attributes:
        inputs: float32 [B, S, S, 3], or the features that the batch holds.
        keys: [B], of each image's dropout.
        targets: labels int32 [B], each with the share float32 [B] by which they count: 0 for
            padding, 1 for an image, less for one that is mixed.
    """

    inputs: jax.Array
    keys: jax.Array
    targets: list[tuple[jax.Array, jax.Array]]


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
) -> Shown:
    """A batch as the network is shown it in training: all of the way from pixels to inputs.

    It depends on each image's (key, epoch, index) and on nothing else. The arguments are those of
    `make_train_step`; without `erasing` and `mixing` nothing is, as in validation.
    """
    keys = image_keys(state.rng, epoch, batch.index)
    images, targets = batch.images, [(batch.labels, batch.mask)]
    if preprocessing is None:
        return Shown(images, _split(keys)[:, 1], targets)
    images = _look(images, keys, model.image_size, augmentation, erasing)
    if mixing:
        assert isinstance(batch, MixedBatch)
        partner = batch.partner
        their_keys = image_keys(state.rng, epoch, partner.index)
        others = _look(partner.images, their_keys, model.image_size, augmentation, erasing)
        images, share = mix(images, others, _folded(keys, _MIXING), mixing)
        targets = [
            (batch.labels, batch.mask * share),
            (partner.labels, batch.mask * (1 - share)),
        ]
    return Shown(preprocess(images, preprocessing), _split(keys)[:, 1], targets)


def _look(
    images: jax.Array, keys: jax.Array, size: int, augmentation: str, erasing: float
) -> jax.Array:
    """Enlarged, augmented and, if so, in part erased: float32 [B, size, size] in 0..255."""
    looks = augment(images, _split(keys)[:, 0], LEVELS[augmentation], size)
    return erase(looks, _folded(keys, _ERASING), erasing) if erasing else looks


def _split(keys: jax.Array) -> jax.Array:
    """Of each image's key: that of its augmentation, that of its dropout."""
    return jax.vmap(jax.random.split)(keys)


def _folded(keys: jax.Array, number: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def plain_inputs(images: Any, model: Model, preprocessing: Preprocessing) -> jax.Array:
    """What the network is shown of images uint8 [B, H, W] otherwise: float32 [B, S, S, 3]."""
    return preprocess(enlarge(images, model.image_size), preprocessing)


def make_eval_step(
    model: Model, preprocessing: Preprocessing | None
) -> Callable[[Any, Any, ArrayLike], jax.Array]:
    """Makes `step(params, batch_stats, images) -> logits`.

    `images` is uint8 [B, H, W], or features if `preprocessing` is None; the logits are float32
    [B, C]. Nothing is random and BatchNorm uses its running statistics, so that a row depends on no
    other row.
    """

    def step(params: Any, batch_stats: Any, images: Any) -> jax.Array:
        inputs = images
        if preprocessing is not None:
            inputs = plain_inputs(images, model, preprocessing)
        logits, _ = model.apply(params, batch_stats, inputs)
        return logits

    return step

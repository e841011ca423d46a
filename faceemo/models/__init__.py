"""The networks: their table, functions to build and run them, and to load pretrained weights."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from faceemo.errors import UserError
from faceemo.models import efficientnetb0, mobilenet, resnet50v2, vgg16
from faceemo.models.backbone import Backbone
from faceemo.models.head import Head
from faceemo.models.layers.layers import IdentityBackbone, Mode
from faceemo.models.preprocessing import Preprocessing
from faceemo.models.weights import pretrained

NETWORKS: dict[str, Backbone] = {
    "vgg16": vgg16.BACKBONE,
    "resnet50v2": resnet50v2.BACKBONE,
    "efficientnetb0": efficientnetb0.BACKBONE,
    "mobilenet": mobilenet.BACKBONE,
}


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of a network that trains or freezes as a whole.

    Attributes:
        name: 'block5' or 'head', for example.
        pattern: Regular expression that fully matches the '/'-joined paths of its parameters.
    """

    name: str
    pattern: str


@dataclasses.dataclass(frozen=True)
class Model:
    """A backbone with its head, and the names of the blocks that train.

    Attributes:
        arch: Name of the backbone in `NETWORKS`.
        image_size: Side of the input, in pixels.
        num_classes: Number of logits.
        blocks: Blocks from bottom to top; the last is the head.
        trained: Names of the blocks that train.
        preprocessing: Preprocessing of the backbone's ImageNet weights; other weights can bring
            another (`load_weights`).
        backbone: Network without its top.
        head: Classifier on the backbone's features.
        moving_statistics: True if BatchNorm behaves as in inference even in the blocks that train.
    """

    arch: str
    image_size: int
    num_classes: int
    blocks: tuple[Block, ...]
    trained: frozenset[str]
    preprocessing: Preprocessing
    backbone: nn.Module
    head: Head
    moving_statistics: bool = False

    def init(self, seed: int) -> dict[str, Any]:
        """Draws random variables, float32, with Keras's initialisers.

        It compiles programs itself, so it cannot be called inside `jax.jit`.

        Returns:
            {'params': {'backbone': ..., 'head': ...}, 'batch_stats': {'backbone': ...}}, below
            that by layer; 'batch_stats' is empty for a network without BatchNorm.
        """
        for_backbone, _ = jax.random.split(jax.random.key(seed))
        # A backbone's variables are the same for all image sizes, so that one program draws them.
        backbone = _compiled_draw()(self.backbone, (1, 32, 32, 3), for_backbone)
        return _join(backbone, self._draw_head(seed))

    def init_head(self, seed: int) -> dict[str, Any]:
        """Draws the head as `init` does; the backbone has the leaves of `shapes`.

        To compile the program that draws a backbone takes seconds, which is in vain if pretrained
        weights replace all that it draws.
        """
        return _join(_trace_backbone(self).variables, self._draw_head(seed))

    def _draw_head(self, seed: int) -> Any:
        _, for_head = jax.random.split(jax.random.key(seed))
        return _compiled_draw()(self.head, _trace_backbone(self).output, for_head)

    def shapes(self) -> dict[str, Any]:
        """Returns the tree of `init` with `jax.ShapeDtypeStruct` leaves, without drawing values."""
        backbone = _trace_backbone(self)
        # Flax makes modules hashable, which their types do not say.
        head = _trace(self.head, backbone.output)  # pyright: ignore[reportArgumentType]
        return _join(backbone.variables, head.variables)

    def features(
        self, params: Any, batch_stats: Any, inputs: jax.Array, mode: Mode | None = None
    ) -> tuple[jax.Array, Any]:
        """Runs the backbone alone.

        Args:
            params: Parameters as `init` returns them.
            batch_stats: Statistics as `init` returns them.
            inputs: Preprocessed images, float32 [B, image_size, image_size, 3].
            mode: Mode of the layers; None is inference.

        Returns:
            Features [B, h, w, C] in the compute dtype, and `batch_stats`, updated where in training
            mode.
        """
        variables = {"params": params["backbone"], **_collection(batch_stats)}
        features, updates = self.backbone.apply(
            variables, inputs, mode or Mode(), mutable=["batch_stats"]
        )
        # Layers in inference mode return their statistics unchanged.
        updated = updates.get("batch_stats")
        return features, {"backbone": updated} if updated else batch_stats

    def last_map(self, params: Any, batch_stats: Any, inputs: jax.Array) -> jax.Array:
        """Computes the activated output of the last convolution, in inference: [B, h, w, C]."""
        variables = {"params": params["backbone"], **_collection(batch_stats)}
        found = self.backbone.apply(variables, inputs, Mode(), method="last_map")
        return jnp.asarray(found)

    def logits_from_map(self, params: Any, last_map: jax.Array) -> jax.Array:
        """Computes logits float32 [B, num_classes] from the last feature map."""
        features = self.backbone.apply({}, last_map, method="after_map")
        return self.logits(params, jnp.asarray(features))

    def logits(self, params: Any, features: jax.Array, mode: Mode | None = None) -> jax.Array:
        """Computes logits float32 [B, num_classes] from features; `mode` None is inference."""
        return jnp.asarray(self.head.apply({"params": params["head"]}, features, mode or Mode()))

    def apply(
        self,
        params: Any,
        batch_stats: Any,
        inputs: jax.Array,
        *,
        train: bool = False,
        mask: jax.Array | None = None,
        keys: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, Any]:
        """Runs the network.

        Args:
            params: Parameters as `init` returns them.
            batch_stats: Statistics as `init` returns them.
            inputs: Preprocessed images, float32 [B, image_size, image_size, 3].
            train: True if the blocks in `trained` are in training mode. The frozen ones never are:
                their BatchNorm uses its moving statistics, their dropout is off.
            mask: Float32 [B], 1 for a real row, 0 for padding; None if all are real.
            keys: PRNG keys [B] for dropout; None leaves dropout out.
            axis_name: Name of the mapped device axis, for statistics over all devices.

        Returns:
            Logits float32 [B, num_classes], and `batch_stats`, updated where in training mode.
        """
        training = self.trained if train else frozenset()
        mode = Mode(training, mask, keys, axis_name, self.moving_statistics)
        features, batch_stats = self.features(params, batch_stats, inputs, mode)
        return self.logits(params, features, mode), batch_stats

    def without_backbone(self) -> "Model":
        """Returns the network that takes the backbone's features as its inputs.

        Its variables are those of the whole network.
        """
        return dataclasses.replace(self, backbone=IdentityBackbone())


class _Trace(NamedTuple):
    variables: dict[str, Any]  # `jax.ShapeDtypeStruct`, by collection and layer
    layers: tuple[str, ...]  # names, in the order in which the layers are called
    output: tuple[int, ...]  # shape


@functools.cache
def _trace(module: nn.Module, shape: tuple[int, ...]) -> _Trace:
    """Traces a module for inputs of a shape, which takes a fifth of a second or more."""
    # The dict has that order only during tracing; JAX sorts the keys of dicts that it returns.
    layers: dict[str, None] = {}

    def run(images: jax.Array) -> Any:
        output, variables = module.init_with_output(jax.random.key(0), images, Mode())
        for collection in ("params", "batch_stats"):
            layers.update(dict.fromkeys(variables.get(collection) or ()))
        return output, variables

    output, variables = jax.eval_shape(run, jax.ShapeDtypeStruct(shape, jnp.float32))
    return _Trace(variables, tuple(layers), output.shape)


def _trace_backbone(model: Model) -> _Trace:
    return _trace(model.backbone, (1, model.image_size, model.image_size, 3))


def _join(backbone: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """Joins the variables of backbone and head into a network's, in dicts of its own."""
    statistics = backbone.get("batch_stats")
    whole = {
        "batch_stats": {"backbone": statistics} if statistics else {},
        "params": {"backbone": backbone["params"], "head": head["params"]},
    }
    return jax.tree.map(lambda leaf: leaf, whole)


def _draw(module: nn.Module, shape: tuple[int, ...], key: jax.Array) -> Any:
    """Draws the variables of a module for inputs of a shape."""
    return module.init(key, jnp.zeros(shape), Mode())


@functools.cache
def _compiled_draw() -> Callable[..., Any]:
    """Returns `_draw`, jitted, so that XLA drops the forward pass.

    On CPUs with little optimisation: full optimisation takes 21 seconds of CPU time for
    EfficientNetB0 instead of 12, for a program that runs once, for a twentieth of a second, and
    draws the same values.
    """
    options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    return jax.jit(_draw, static_argnums=(0, 1), compiler_options=options)


def build(config: Any, num_classes: int = 4) -> Model:
    """Builds the network that a configuration describes.

    Args:
        config: Configuration with the fields arch, image_size, width, unfreeze, extra_dense, dtype
            and bn_policy of `faceemo.config.make_config`.
        num_classes: Number of logits.

    Raises:
        LookupError: If no network of that name is registered.
        UserError: If `unfreeze` exceeds the number of blocks.
    """
    if config.arch not in NETWORKS:
        raise LookupError(
            f"no network '{config.arch}': write faceemo/models/{config.arch}.py, and add its "
            "BACKBONE to NETWORKS in faceemo/models/__init__.py (docs/extend.md)"
        )
    chosen = NETWORKS[config.arch]
    blocks = (*(Block(*block) for block in chosen.blocks), Block("head", r"head/.*"))
    dtype = jnp.dtype(config.dtype)
    extra = (("fc_extra", chosen.extra_width),) if config.extra_dense else ()
    return Model(
        arch=config.arch,
        image_size=config.image_size,
        num_classes=num_classes,
        blocks=blocks,
        trained=select_trained_blocks(blocks, config.unfreeze),
        preprocessing=chosen.preprocessing,
        backbone=chosen.module(dtype, **({} if config.width == 1 else {"width": config.width})),
        head=Head(num_classes, chosen.pooling, chosen.dense + extra, chosen.dropout_rate, dtype),
        moving_statistics=config.bn_policy == "frozen",
    )


def select_trained_blocks(blocks: tuple[Block, ...], unfreeze: str) -> frozenset[str]:
    """Returns the names of the blocks that train: the top ones and, always, the head.

    Args:
        blocks: Blocks from bottom to top, the head last.
        unfreeze: Number of convolutional blocks that train, counted from the top, or 'all'.

    Raises:
        UserError: If there are fewer blocks.
    """
    convolutional = len(blocks) - 1
    count = convolutional if unfreeze == "all" else int(unfreeze)
    if not 0 <= count <= convolutional:
        raise UserError(
            expected=f"unfreeze from '0' to '{convolutional}', or 'all'",
            found=f"'{unfreeze}'",
            fix="change unfreeze",
        )
    return frozenset(block.name for block in blocks[convolutional - count :])


def load_weights(
    model: Model, variables: dict[str, Any], weights: str
) -> tuple[dict[str, Any], Preprocessing, dict[str, Any]]:
    """Loads pretrained weights into the backbone; the head stays as it is.

    Args:
        model: Network that `build` returned.
        variables: Variables that `Model.init` returned, or `Model.init_head` for weights that leave
            none of the backbone's initial values (`keep_initial_values`).
        weights: 'none', a name that `config.BACKBONES` has for the backbone, or the path of a file:
            Keras's HDF5 of either layout, '.keras', or faceemo's own .npz (written by
            scripts/convert_weights.py, or a trained network, whose head is left out).

    Returns:
        The variables, with the statistics that the file holds; the preprocessing that belongs to
        the weights; their origin: {'source': str, 'sha256': str or None}, and under 'trained' the
        recipe of the run, if faceemo trained them.

    Raises:
        UserError: If the weights cannot be fetched, or the file is not exactly of this backbone.
    """
    return pretrained.load(
        model.arch, variables, _trace_backbone(model).layers, weights, model.preprocessing
    )


def keep_initial_values(model: Model, weights: str) -> bool:
    """Returns whether `load_weights` leaves any of the backbone's initial values as they are.

    Raises:
        UserError: If the weights cannot be fetched.
    """
    return pretrained.keep_initial_values(model.arch, weights)


def locate_arrays(model: Model, variables: dict[str, Any], weights: str) -> dict[str, str]:
    """Returns the name of each array in the file that `load_weights` reads, by 'layer/weight'."""
    return pretrained.locate_arrays(model.arch, variables, _trace_backbone(model).layers, weights)


def _collection(batch_stats: Any) -> dict[str, Any]:
    """Returns `batch_stats` as flax takes them; an empty dict for a backbone without any."""
    return {"batch_stats": batch_stats["backbone"]} if batch_stats else {}

"""Devices: one axis, over which a batch is cut and sums are added.

The step functions know only the axis's name. To leave `jax.pmap`, change this file.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from faceemo.data.pipeline import Batch
from faceemo.train.mixing import MixedBatch

AXIS = "batch"


def train_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(state, batch, epoch)` on every device; the state's memory is reused."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0)


def measure_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(state, batch, epoch)` on every device; the state stays as it is."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None))


def evaluate_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(params, batch_stats, images)` on every device."""
    return jax.pmap(step, axis_name=AXIS)


def replicate(tree: Any) -> Any:
    """Copies every leaf to every device of this process: [...] to [local devices, ...]."""
    devices = jax.local_devices()
    over_devices = NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))
    return jax.tree.map(
        lambda leaf: jax.device_put(
            np.broadcast_to(leaf, (len(devices), *np.shape(leaf))), over_devices
        ),
        tree,
    )


def unreplicate(tree: Any) -> Any:
    """The first device's copy of every leaf, as NumPy arrays of their own memory."""
    return jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0))[0], tree)


def shard(batch: Batch | MixedBatch) -> Any:
    """Cuts a batch for the devices: leaves [B, ...] to [local devices, ceil(B / devices), ...].

    A batch that does not divide is padded with rows of mask 0, which count nowhere. Every process
    passes the same batch and keeps its own devices' part.
    """
    devices, local = jax.device_count(), jax.local_device_count()
    rows = -(-len(batch.labels) // devices)
    first = jax.process_index() * local

    def cut(leaf: np.ndarray) -> np.ndarray:
        padding = [(0, rows * devices - len(leaf))] + [(0, 0)] * (leaf.ndim - 1)
        return np.pad(leaf, padding).reshape(devices, rows, *leaf.shape[1:])[first : first + local]

    return jax.tree.map(cut, batch)

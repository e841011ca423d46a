"""Devices and processes: one axis, over which a batch is cut and sums are added.

The step functions know only the axis's name. To leave `jax.pmap`, change this file.
"""

import functools
import hashlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from faceemo.data.augment.mixing import MixedBatch
from faceemo.data.pipeline import Batch, padded
from faceemo.errors import UserError

AXIS = "batch"
# Bytes that go over the network at once: every device has them in memory meanwhile.
_PIECE = 2**26

_P = ParamSpec("_P")
_R = TypeVar("_R")


def join(coordinator: str, processes: int | None, process: int | None) -> None:
    """Makes this process one of several that train together; before any other use of JAX.

    Args:
        coordinator: HOST:PORT of the first process; 'auto' where JAX finds out by itself (TPU pods,
            SLURM, Open MPI, Kubernetes).
        processes: how many there are; None with 'auto'.
        process: which of them this is, from 0; None with 'auto'.
    """
    if (coordinator == "auto") != (processes is None) or (processes is None) != (process is None):
        raise UserError(
            expected="--coordinator=auto alone, or --coordinator=HOST:PORT with --num_processes "
            "and --process_id",
            found=f"--coordinator={coordinator} --num_processes={processes} --process_id={process}",
            fix="give all three to every process, HOST:PORT being the first process's",
        )
    # Of CPUs; the others bring their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if coordinator == "auto":
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(coordinator, processes, process)


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def on_first(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function`, run by the first process alone; every process gets its result or its error.

    All have to call it. Not to be nested. Results travel as pickles over the devices' network, so
    that the processes need no common disk.
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if jax.process_count() == 1:
            return function(*args, **kwargs)
        result, error = None, None
        if is_first():
            try:
                result = function(*args, **kwargs)
            except Exception as raised:
                error = raised
        message = error if error is None or isinstance(error, UserError) else f"{error!r}"
        result, message = pickle.loads(_broadcast(pickle.dumps((result, message))))
        if error is not None:
            raise error
        if message is not None:
            raise message if isinstance(message, UserError) else RuntimeError(message)
        return result

    return call


def refuse_disagreement(digests: Mapping[str, str]) -> None:
    """Ends a run whose processes do not have the same; all have to call it.

    Args:
        digests: sha256 in hex by name; the names may differ too.

    Raises:
        UserError: in every process, with the names of what differs.
    """
    if jax.process_count() == 1:
        return
    gather = jax.pmap(lambda row: jax.lax.all_gather(row, AXIS), axis_name=AXIS)
    own = sorted(digests)
    # All have to bring as many rows: of the first one's names, and one of all that they have.
    names = pickle.loads(_broadcast(pickle.dumps(own)))
    present = hashlib.sha256(pickle.dumps(own)).digest()
    rows = [bytes.fromhex(digests.get(name, "00" * len(present))) for name in names]
    rows = np.array([list(row) for row in (*rows, present)], np.uint8)
    everyones = unreplicate(gather(np.stack([rows] * jax.local_device_count())))
    differs = (everyones != everyones[0]).any(axis=(0, 2))
    if differs.any():
        names = [*names, "sets of fields"]
        different = [name for name, differ in zip(names, differs, strict=True) if differ]
        raise UserError(
            expected="the same run in every process",
            found=f"processes with different {', '.join(different)}",
            fix="give every process the same options, and every host the same version of faceemo, "
            "data and weights",
        )


def _broadcast(content: bytes) -> bytes:
    """The first process's `content`, in every process."""
    add = jax.pmap(lambda row: jax.lax.psum(row, AXIS), axis_name=AXIS)

    def shared(row: np.ndarray) -> np.ndarray:
        rows = np.zeros((jax.local_device_count(), *row.shape), row.dtype)
        if is_first():
            rows[0] = row
        return unreplicate(add(rows))

    # All have to bring rows of one length, so it goes ahead.
    head = np.frombuffer(len(content).to_bytes(8, "little"), np.uint8)
    length = int.from_bytes(shared(head).tobytes(), "little")
    rows = []
    for start in range(0, length, _PIECE):
        row = np.zeros(min(_PIECE, length - start), np.uint8)
        if is_first():
            row[:] = np.frombuffer(content, np.uint8, len(row), start)
        rows.append(shared(row).tobytes())
    return b"".join(rows)


def train_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(state, batch, epoch)` on every device; the state's memory is reused."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0)


def measure_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(state, batch, epoch)` on every device; the state stays as it is."""
    return jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None))


def evaluate_on_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(params, batch_stats, images)` on every device; each gets the results of all.

    Leaves of the result are [local devices, all devices, ...].
    """
    return jax.pmap(lambda *args: jax.lax.all_gather(step(*args), AXIS), axis_name=AXIS)


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

    A batch that does not divide is padded as `Batch` says, which counts nowhere. Every process
    passes the same batch and keeps its own devices' part.
    """
    devices, local = jax.device_count(), jax.local_device_count()
    rows = -(-len(batch.labels) // devices)
    first = jax.process_index() * local

    def cut(path: Any, leaf: np.ndarray) -> np.ndarray:
        fill = -1 if path[-1].name == "index" else 0
        whole = padded(leaf, rows * devices - len(leaf), fill)
        return whole.reshape(devices, rows, *leaf.shape[1:])[first : first + local]

    return jax.tree.map_with_path(cut, batch)

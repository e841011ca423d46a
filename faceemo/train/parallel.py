"""Devices and processes: one axis, along which a batch is cut and sums are added.

The step functions know only the name of the axis. To replace `jax.pmap`, change this file alone.
"""

import functools
import hashlib
import operator
import pickle
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from faceemo.data.augment.mixing import MixedBatch
from faceemo.data.disk.stored_images import Images, StoredImages
from faceemo.data.pipeline import Batch, Part, pad_rows
from faceemo.errors import UserError
from faceemo.models import compiler

AXIS = "batch"
# Bytes that are broadcast at once; every device holds them in memory meanwhile.
_CHUNK = 2**26

_P = ParamSpec("_P")
_R = TypeVar("_R")


def join(coordinator: str, processes: int | None, process: int | None) -> None:
    """Makes this process one of several that train together; must precede any other use of JAX.

    Args:
        coordinator: HOST:PORT of the first process, or 'auto' where JAX finds it by itself (TPU
            pods, SLURM, Open MPI, Kubernetes).
        processes: Number of processes; None with 'auto'.
        process: This process's number, from 0; None with 'auto'.

    Raises:
        UserError: If only some of the three are given.
    """
    if (coordinator == "auto") != (processes is None) or (processes is None) != (process is None):
        raise UserError(
            expected="--coordinator=auto alone, or --coordinator=HOST:PORT with --num_processes "
            "and --process_id",
            found=f"--coordinator={coordinator} --num_processes={processes} --process_id={process}",
            fix="give all three to every process, HOST:PORT being the first process's",
        )
    compiler.set_for_process()
    # For CPUs; other devices have their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if coordinator == "auto":
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(coordinator, processes, process)


def is_first() -> bool:
    """Returns whether this process is the one that writes and prints."""
    return jax.process_index() == 0


def on_first(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorates a function to run in the first process alone; all get its result or its error.

    Every process has to call it, and calls must not be nested. Results are sent as pickles over the
    devices' network, so that the processes need no common disk.
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


def take_everywhere(images: Images, rows: np.ndarray) -> np.ndarray:
    """Takes a few images that every process needs; every process has to call it.

    Args:
        images: The images of a split; of those that are divided over hosts the first process, which
            alone holds all files, sends these to the others.
        rows: Positions from 0, int [B], equal in every process.

    Returns:
        uint8 [B, S, S] or [B, S, S, 3].
    """
    if isinstance(images, StoredImages) and images.divided:
        return on_first(operator.getitem)(images, rows)
    return images[rows]


def refuse_disagreement(digests: Mapping[str, str]) -> None:
    """Refuses a run whose processes differ; every process has to call it.

    Args:
        digests: This process's sha256 digests, in hex, by name; the names may differ too.

    Raises:
        UserError: In every process, with the names of the digests that differ.
    """
    if jax.process_count() == 1:
        return
    gather = jax.pmap(lambda row: jax.lax.all_gather(row, AXIS), axis_name=AXIS)
    own = sorted(digests)
    # Every process needs the same number of rows: one for each name of the first process, and one
    # for the set of its own names.
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


def is_true_in_all(flag: bool) -> bool:
    """Returns whether `flag` is true in every process; every process has to call it."""
    return not find_false(flag)


def find_false(flag: bool) -> list[int]:
    """Returns the numbers of the processes whose `flag` is false; every process has to call it."""
    if jax.process_count() == 1:
        return [] if flag else [0]
    gather = jax.pmap(lambda one: jax.lax.all_gather(one, AXIS), axis_name=AXIS)
    own = np.int32(-1 if flag else jax.process_index())
    numbers = unreplicate(gather(np.full(jax.local_device_count(), own)))
    return sorted({*numbers.tolist()} - {-1})


def count_processes_here() -> int:
    """Counts the processes of this run on this host; every process has to call it."""
    if jax.process_count() == 1:
        return 1
    gather = jax.pmap(lambda row: jax.lax.all_gather(row, AXIS), axis_name=AXIS)
    host = np.uint32(zlib.crc32(socket.gethostname().encode()))
    devices = unreplicate(gather(np.full(jax.local_device_count(), host)))
    # All processes of a host have the same number of devices.
    return max(1, int((devices == host).sum()) // jax.local_device_count())


def _broadcast(content: bytes) -> bytes:
    """Returns the first process's `content` in every process."""
    add = jax.pmap(lambda row: jax.lax.psum(row, AXIS), axis_name=AXIS)

    def shared(row: np.ndarray) -> np.ndarray:
        rows = np.zeros((jax.local_device_count(), *row.shape), row.dtype)
        if is_first():
            rows[0] = row
        return unreplicate(add(rows))

    # Every process needs rows of the same length, so the length is sent first.
    head = np.frombuffer(len(content).to_bytes(8, "little"), np.uint8)
    length = int.from_bytes(shared(head).tobytes(), "little")
    rows = []
    for start in range(0, length, _CHUNK):
        row = np.zeros(min(_CHUNK, length - start), np.uint8)
        if is_first():
            row[:] = np.frombuffer(content, np.uint8, len(row), start)
        rows.append(shared(row).tobytes())
    return b"".join(rows)


def map_train_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `step(state, batch, epoch)` over the devices; the state's memory is reused."""
    return _compile(jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0), (0,))


def map_moments_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `step(state, batch, epoch)` over the devices; the state stays as it is."""
    return _compile(jax.pmap(step, axis_name=AXIS, in_axes=(0, 0, None)))


def map_eval_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Maps `step(params, batch_stats, images)` over the devices; each gets all results.

    Leaves of the result are [local devices, all devices, ...].
    """
    return _compile(jax.pmap(lambda *args: jax.lax.all_gather(step(*args), AXIS), axis_name=AXIS))


def _compile(mapped: Callable[..., Any], donated: tuple[int, ...] = ()) -> Callable[..., Any]:
    """Gives a mapped step the options of the compiler, which `jax.pmap` does not take.

    Where several processes train together, `join` gave them to the process, because `jax.pmap` has
    to be called from outside of a compiled function there.
    """
    if jax.process_count() > 1:
        return mapped

    # `jax.jit` would take over the attribute `lower` of `mapped` itself, which has no options.
    def step(*args: Any) -> Any:
        return mapped(*args)

    return jax.jit(step, donate_argnums=donated, compiler_options=compiler.options())


def replicate(tree: Any) -> Any:
    """Copies every leaf to every device of this process: [...] to [local devices, ...]."""
    devices, placement = jax.local_device_count(), _over_local_devices()
    return jax.tree.map(
        lambda leaf: jax.device_put(np.broadcast_to(leaf, (devices, *np.shape(leaf))), placement),
        tree,
    )


def _over_local_devices() -> NamedSharding:
    """Returns the placement of arrays [local devices, ...] with one row on each device."""
    return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec(AXIS))


def unreplicate(tree: Any) -> Any:
    """Copies every leaf from the first device into a NumPy array with memory of its own."""
    return jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0))[0], tree)


def own_part(batch_size: int) -> Part:
    """Returns the rows of a batch that the devices of this process take.

    Every device takes ceil(batch_size / devices) of them, in the order of the devices.
    """
    devices, local = jax.device_count(), jax.local_device_count()
    rows = -(-batch_size // devices)
    first = jax.process_index() * local
    return Part(rows * devices, first * rows, (first + local) * rows)


def shard(batch: Batch | MixedBatch) -> Any:
    """Cuts a process's part of a batch for its devices: leaves [B, ...] to [local devices, b, ...].

    A batch that the devices do not divide is padded as `Batch` describes, and the padding counts
    nowhere. Of several processes, each passes its own part (`own_part`).
    """
    local = jax.local_device_count()
    rows = -(-len(batch.labels) // local)

    def cut(path: Any, leaf: np.ndarray) -> np.ndarray:
        fill = -1 if path[-1].name == "index" else 0
        whole = pad_rows(leaf, rows * local - len(leaf), fill)
        return whole.reshape(local, rows, *leaf.shape[1:])

    return jax.tree.map_with_path(cut, batch)


def shard_ahead(batches: Iterable[Batch | MixedBatch]) -> Iterator[Any]:
    """Yields what `shard` gives, already on the devices; the next one is copied there meanwhile."""
    ahead = None
    for batch in batches:
        placed = jax.device_put(shard(batch), _over_local_devices())
        if ahead is not None:
            yield ahead
        ahead = placed
    if ahead is not None:
        yield ahead

"""Part of device.py: speed, memory and compile time of faceemo's programs on an accelerator."""

import functools
import resource
import time
from typing import Any

import jax
import numpy as np
import run_steps
import timing
import train_flops

from faceemo import models
from faceemo.config import AUGMENTATIONS, make_config
from faceemo.data.augment.augment import augment, image_keys

FORWARD = "forward"
MIB = 2**20


def build(arch: str, size: int, task: str, dtype: str = "float32") -> models.Model:
    """Builds the network of a task: 'forward', or 'train LEVEL' for an unfreeze level."""
    level = "all" if task == FORWARD else task.removeprefix("train ")
    return models.build(
        make_config(arch, f"9,weights=none,image_size={size},unfreeze={level},dtype={dtype}")
    )


def measure_network(
    arch: str, size: int, batch: int, task: str, dtype: str, rounds: int, turn: float
) -> dict[str, Any]:
    """Measures one compiled step of a run.

    Returns:
        'seconds' a step of each turn; 'images', of all devices; 'trace_seconds' and
        'compile_seconds'; 'operations' that the layers' shapes imply, on all devices;
        'compiled_operations', which XLA counts in the program of one device, or None; 'program_mib'
        and 'peak_mib', see `program_memory` and `peak_memory`.

    Raises:
        FloatingPointError: If a result is not finite.
    """
    images = run_steps.make_batch(batch * jax.device_count())
    model = build(arch, size, task, dtype)
    make = run_steps.make_forward if task == FORWARD else run_steps.make_training
    step, arguments = make(model, _draw_variables(arch, size), images)
    began = time.perf_counter()
    lowered = step.lower(*arguments)
    traced = time.perf_counter()
    compiled = lowered.compile()
    finished = time.perf_counter()
    current = {"arguments": arguments, "result": None}

    def launch() -> None:
        first, *rest = current["arguments"]
        current["result"] = results = compiled(first, *rest)
        if task != FORWARD:  # the state is donated, and the next step needs the new one
            current["arguments"] = (results[0], *rest)

    seconds = timing.time_turns(
        launch, lambda: jax.block_until_ready(current["result"]), rounds, turn
    )
    result: Any = current["result"]
    if not np.isfinite(np.asarray(result if task == FORWARD else result[1]["loss"])).all():
        raise FloatingPointError(f"the result of '{task}' is not finite")
    return {
        "seconds": seconds,
        "images": len(images.labels),
        "trace_seconds": traced - began,
        "compile_seconds": finished - traced,
        "operations": count_operations(arch, size, task, len(images.labels)),
        "compiled_operations": _compiled_operations(compiled),
        "program_mib": program_memory(compiled),
        "peak_mib": peak_memory(),
    }


def measure_augmentation(
    level: str, size: int, batch: int, rounds: int, turn: float
) -> dict[str, Any]:
    """Measures how fast the first device enlarges and augments: 'seconds' and 'images' a call."""
    made = jax.device_put(run_steps.make_batch(batch), jax.devices()[0])
    images, index = made.images, made.index

    @jax.jit
    def run(images: jax.Array, epoch: jax.Array) -> jax.Array:
        keys = image_keys(jax.random.PRNGKey(0), epoch, index)
        return augment(images, keys, AUGMENTATIONS[level], size)

    epoch = jax.device_put(np.int32(0), jax.devices()[0])
    last: list[Any] = [run(images, epoch)]

    def launch() -> None:
        last[0] = run(images, epoch)

    seconds = timing.time_turns(launch, lambda: jax.block_until_ready(last), rounds, turn)
    return {"seconds": seconds, "images": batch}


def count_operations(arch: str, size: int, task: str, count: int) -> int:
    """Counts the multiplications and additions with kernels that a task needs for `count` images.

    They follow from the shapes of the layers. What XLA counts in a compiled program does not serve
    as a measure: it leaves out what libraries such as cuDNN compute, and the repetitions of loops.
    """
    layers = _trace_layers(arch, size)
    if task == FORWARD:
        return count * sum(layer.operations for layer in layers)
    return count * train_flops.count_least_operations(build(arch, size, task), layers)


def program_memory(compiled: Any) -> float | None:
    """Returns MiB of arguments, results and temporary arrays of a program on one device."""
    sizes = compiled.memory_analysis()
    if sizes is None:
        return None
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    ) / MIB


def peak_memory() -> float:
    """Returns MiB at the peak since the process began: of the first device, or of the process.

    A device without a count of its own, such as a CPU, has the memory of the process, compilation
    included.
    """
    statistics = jax.devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        return statistics["peak_bytes_in_use"] / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe_device() -> dict[str, Any]:
    """Describes the devices: platform, kind, number, version of JAX, what 'peak_mib' is."""
    first = jax.devices()[0]
    counted = "peak_bytes_in_use" in (first.memory_stats() or {})
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": jax.device_count(),
        "jax": jax.__version__,
        "peak_mib_is_of": "the device" if counted else "the process",
    }


def _compiled_operations(compiled: Any) -> float | None:
    cost = compiled.cost_analysis()
    return cost.get("flops") if cost else None


@functools.lru_cache(maxsize=2)
def _draw_variables(arch: str, size: int) -> dict[str, Any]:
    return run_steps.draw_variables(build(arch, size, FORWARD))


@functools.cache
def _trace_layers(arch: str, size: int) -> list[train_flops.Layer]:
    return train_flops.trace_layers(build(arch, size, FORWARD), batch=1)

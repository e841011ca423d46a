"""Sections of train.py on the cost of a step: operations, memory, compilation."""

import itertools
import tempfile
from collections.abc import Iterator
from typing import Any

from . import timing
from .train_common import (
    TrainBenchmark,
    compute_ratio,
    format_range,
    make_command,
    print_failures,
    run_program,
)

_MIB = 2**20
_TIMES = ("before", "first", "second")


def freezing(benchmark: TrainBenchmark) -> None:
    """Measures how much operations, memory and time freezing saves."""
    options = benchmark.options
    batch = 32
    print(
        f"{options.size} px, batch {batch}; operations of a step, in multiples of a forward pass: "
        "counted by XLA, and the theoretical minimum; memory of Adam's state relative to the "
        "trained parameters"
    )
    tasks = [f"train {level}" for level in options.levels]
    for arch in options.archs:
        costs = run_program("train_flops", arch, options.size, batch, *options.levels)
        command = make_command("frameworks", "faceemo", arch, options.size, batch, *options.levels)
        seconds, failed = timing.time_tasks({arch: command}, ["forward", *tasks], options.rounds)
        if failed:
            print_failures(failed)
            continue
        forward = timing.median_and_range(seconds["forward"][arch])[0]
        print(f"  {arch}, forward {1000 * forward:.0f} ms", flush=True)
        for level, cost in costs.items():
            values = seconds[f"train {level}"][arch]
            passes = timing.median_and_range(values)[0] / forward
            times = f"{format_range(values, 1000, 0)} ms, {passes:.2f} forward"
            print(
                f"    unfreeze {level:<4} XLA count {cost['counted'] / cost['forward']:5.2f}  "
                f"minimum {cost['least'] / cost['forward']:5.2f}  "
                f"trained {cost['trained'] / _MIB:6.1f} MiB  "
                f"Adam {cost['optimizer'] / cost['trained']:.3f}  step {times}",
                flush=True,
            )


def startup(benchmark: TrainBenchmark) -> None:
    """Times the first step with an empty and with a filled compilation cache.

    Raises:
        AssertionError: If a cached program computes another loss.
    """
    options = benchmark.options
    print(
        f"seconds at {options.size} px, variant 9, median of {options.rounds} (range): before the "
        "first step, first step, second step; with an empty (cold) and a filled (warm) cache"
    )
    arg = benchmark.config_arg(9, options.images, image_size=options.size)
    results: dict[str, list[dict[str, Any]]] = {"cold": [], "warm": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=benchmark.out) as cache:
            for rows in results.values():
                rows.append(
                    run_program("train_once", "start", options.arch, arg, FACEEMO_CACHE=cache)
                )
    for name, rows in results.items():
        cells = (f"{key} {format_range([row[key] for row in rows])}" for key in _TIMES)
        print(f"  {options.arch} {name}  {'  '.join(cells)}", flush=True)
    losses = {row["loss"] for rows in results.values() for row in rows}
    if len(losses) > 1:
        raise AssertionError(f"a cached program computed another loss: {losses}")


def memory(benchmark: TrainBenchmark) -> None:
    """Measures memory of every variant, and the host's share of a step's time."""
    options = benchmark.options
    print(f"MiB at {options.size} px; the host's share of {options.steps} steps, without overlap")
    for name, arch, arg in _each_run(benchmark):
        row = run_program("train_once", "memory", arch, arg)
        sizes = "  ".join(
            f"{part} {row[part] / _MIB:,.0f}"
            for part in ("before", "peak", "state", "donated", "temporary")
        )
        share = row["host"] / (row["host"] + row["step"])
        print(
            f"  {name:<17} {sizes}  step {1000 * row['step']:.0f} ms  "
            f"host {1000 * row['host']:.1f} ms, {share:.2%}",
            flush=True,
        )


def heap(benchmark: TrainBenchmark) -> None:
    """Compares steps in processes that keep freed memory and that give it back to the system."""
    options = benchmark.options
    print(
        f"{options.size} px, {options.steps} steps, medians of {options.rounds} (range): kept and "
        "given back; the ratio is above 1 where keeping is faster"
    )
    for name, arch, arg in _each_run(benchmark):
        rows: dict[str, list[dict[str, float]]] = {"kept": [], "given back": []}
        for _ in range(options.rounds):
            for way, switch in zip(rows, "10", strict=True):
                row = run_program("train_once", "memory", arch, arg, FACEEMO_KEEP_HEAP=switch)
                rows[way].append(row)
        seconds = {way: [row["step"] for row in results] for way, results in rows.items()}
        cells = (
            f"{way}: step {format_range(seconds[way], 1000, 0)} ms, "
            f"faults {format_range([row['faults'] for row in results], 1, 0)}, "
            f"peak {format_range([row['peak'] for row in results], 1 / _MIB, 0)} MiB"
            for way, results in rows.items()
        )
        ratio = compute_ratio(seconds, "given back", "kept")
        print(f"  {name:<17} {'  '.join(cells)}  ratio {ratio:.2f}", flush=True)


def _each_run(benchmark: TrainBenchmark) -> Iterator[tuple[str, str, str]]:
    """Yields name, architecture and configuration of a short run of every variant."""
    options = benchmark.options
    for arch, variant in itertools.product(options.archs, options.variants):
        yield (
            f"{arch}:{variant}",
            arch,
            benchmark.config_arg(
                variant,
                options.images,
                image_size=options.size,
                steps_per_epoch=options.steps,
                cache_features="off",
            ),
        )

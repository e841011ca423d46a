"""The sections of `train.py` on what a step costs: operations, memory, compiling."""

import tempfile
from typing import Any

from . import timing
from .train_bench import Bench, ask, complain, program, shown

_MIB = 2**20
_TIMES = ("before", "first", "second")


def freezing(bench: Bench) -> None:
    """What frozen blocks save."""
    options = bench.options
    batch = 32
    print(
        f"{options.size} px, batch {batch}; operations of a step in units of the forward pass's, "
        "as XLA counts them and at least; Adam's memory over that of what trains"
    )
    tasks = [f"train {level}" for level in options.levels]
    for arch in options.archs:
        costs = ask("train_flops", arch, options.size, batch, *options.levels)
        network = program("network", "faceemo", arch, options.size, batch, *options.levels)
        seconds, failed = timing.side_by_side({arch: network}, ["forward", *tasks], options.rounds)
        if failed:
            complain(failed)
            continue
        forward = timing.spread(seconds["forward"][arch])[0]
        print(f"  {arch}, forward {1000 * forward:.0f} ms", flush=True)
        for level, cost in costs.items():
            values = seconds[f"train {level}"][arch]
            times = f"{shown(values, 1000, 0)} ms, {timing.spread(values)[0] / forward:.2f} forward"
            print(
                f"    unfreeze {level:<4} counted {cost['counted'] / cost['forward']:5.2f}  "
                f"least {cost['least'] / cost['forward']:5.2f}  "
                f"trained {cost['trained'] / _MIB:6.1f} MiB  "
                f"Adam {cost['optimizer'] / cost['trained']:.3f}  step {times}",
                flush=True,
            )


def startup(bench: Bench) -> None:
    """The first step, in processes that find no compiled programs and in others that do."""
    options = bench.options
    print(
        f"seconds at {options.size} px, variant 9, median of {options.rounds} (range): before the "
        "first step, first step, second step; without and with kept programs"
    )
    arg = bench.arg(9, options.images, image_size=options.size)
    found: dict[str, list[dict[str, Any]]] = {"cold": [], "warm": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=bench.out) as cache:
            for rows in found.values():
                rows.append(ask("train_alone", "start", options.arch, arg, FACEEMO_CACHE=cache))
    for name, rows in found.items():
        cells = (f"{key} {shown([row[key] for row in rows])}" for key in _TIMES)
        print(f"  {options.arch} {name}  {'  '.join(cells)}", flush=True)
    losses = {row["loss"] for rows in found.values() for row in rows}
    if len(losses) > 1:
        raise AssertionError(f"a kept program gave another loss: {losses}")


def memory(bench: Bench) -> None:
    """Bytes of every variant, and the host's share of a step."""
    options = bench.options
    print(
        f"MiB at {options.size} px; the host's share of {options.steps} steps, nothing overlapped"
    )
    for arch in options.archs:
        for variant in options.variants:
            arg = bench.arg(
                variant,
                options.images,
                image_size=options.size,
                steps_per_epoch=options.steps,
                cache_features="off",
            )
            row = ask("train_alone", "memory", arch, arg)
            sizes = "  ".join(
                f"{name} {row[name] / _MIB:,.0f}"
                for name in ("before", "peak", "state", "donated", "temporary")
            )
            share = row["host"] / (row["host"] + row["step"])
            print(
                f"  {arch + ':' + str(variant):<17} {sizes}  step {1000 * row['step']:.0f} ms  "
                f"host {1000 * row['host']:.1f} ms, {share:.2%}",
                flush=True,
            )

"""Training step over the number of devices: measured on this machine, modelled for larger ones.

Here the devices are parts of one processor, which they share: more of them cannot be faster, and
the measurement shows what cutting a batch and adding sums costs. For real ones, the bytes that a
step adds over the devices (read from the compiled program) give the time that a ring needs:
2 (n - 1) / n times the bytes over the link's speed, latency left out, nothing overlapped.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import timing

LINKS = {"Ethernet 10G": 1e9, "PCIe 4.0 x16": 25e9, "NVLink, ICI": 400e9}  # bytes per second
SIZES = (2, 8, 64)
TASK = "train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py scaling`."""
    parser.add_argument("--arch", default="efficientnetb0", choices=ARCHS)
    parser.add_argument("--unfreeze", default="all", choices=UNFREEZE, help="blocks that train")
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--batch", type=int, default=32, help="images over all devices")
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--step_ms", type=float, default=100.0, help="a step on your device, for the model"
    )


def run(options: argparse.Namespace) -> None:
    """Prints the measured steps, then the model's table."""

    def program(devices: int, *more: str) -> list[str]:
        path = Path(__file__).with_name("devices.py")
        network = (options.arch, options.unfreeze, str(options.size), str(options.batch))
        return [sys.executable, str(path), str(devices), *network, *more]

    print(
        f"{options.arch}, {options.unfreeze} blocks unfrozen, {options.size} px, "
        f"batch {options.batch} over all devices, median of {options.rounds} (smallest to largest)"
    )
    programs = {str(devices): program(devices) for devices in options.devices}
    seconds, failed = timing.side_by_side(programs, [TASK], options.rounds)
    first = None
    for devices, values in seconds[TASK].items():
        middle, low, high = (1000 * value for value in timing.spread(values))
        first = first or middle
        print(
            f"  {devices:>3} devices  {middle:8.1f} ms ({low:.1f}-{high:.1f}), "
            f"{middle / first:.2f} of the first"
        )
    for devices, reason in failed.items():
        print(f"  {devices} devices did not run: {reason}")
    found = subprocess.run(
        program(2, "reductions"), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    report(json.loads(found), options.step_ms)


def report(reductions: dict[str, int], step_ms: float) -> None:
    """Prints what travels, and how long that takes beside a step of `step_ms`."""
    total = reductions["bytes"]
    print(
        f"\nadded over the devices per step: {total / 1e6:.2f} MB in {reductions['count']} "
        f"operations; {reductions['gradients'] / 1e6:.2f} MB of that are gradients of what trains, "
        "the rest sums of BatchNorm and metrics"
    )
    print(f"communication, and what is left of the speed if a step takes {step_ms:g} ms")
    print(f"{'devices':>9}" + "".join(f"{f'{n}, {b / 1e9:g} GB/s':>28}" for n, b in LINKS.items()))
    for devices in SIZES:
        cells = []
        for speed in LINKS.values():
            ms = 1000 * ring_seconds(total, devices, speed)
            cells.append(f"{ms:.2f} ms, {step_ms / (step_ms + ms):.0%}")
        print(f"{devices:>9}" + "".join(f"{cell:>28}" for cell in cells))


def ring_seconds(size: int, devices: int, speed: float) -> float:
    """Of an all-reduce of `size` bytes over a ring of links of `speed` bytes per second."""
    return 2 * (devices - 1) / devices * size / speed

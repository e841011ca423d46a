"""Time of a training step on several devices: measured on this CPU, modelled for real devices.

Here the devices are simulated and share one processor, and so do two processes with a device each:
more devices cannot be faster, and the measurement shows the cost of splitting a batch and adding up
gradients. For real devices, the bytes that a step reduces over the devices (read from the compiled
program) give the time of a ring all-reduce without overlap: 2 (n - 1) / n times the bytes divided
by the link's bandwidth, and 2 (n - 1) latencies. What devices need of the disk, of processors and
of the place of checkpoints is arithmetic as well.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from faceemo.config import ARCHS, UNFREEZE

from . import timing

LINK_BANDWIDTHS = {
    "Ethernet 10G": 1e9,
    "PCIe 4.0 x16": 25e9,
    "NVLink, ICI": 400e9,
}  # bytes per second
DEVICE_COUNTS = (2, 8, 64, 1000)
LATENCY = 5e-6  # seconds from a device to the next
TASK = "train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py scaling`."""
    parser.add_argument("--arch", default="efficientnetb0", choices=ARCHS, help="backbone")
    parser.add_argument("--unfreeze", default="all", choices=UNFREEZE, help="blocks that train")
    parser.add_argument("--size", type=int, default=96, help="image size, pixels")
    parser.add_argument("--batch", type=int, default=32, help="global batch size")
    parser.add_argument(
        "--devices", nargs="+", type=int, default=[1, 2, 4], help="numbers of devices"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument(
        "--stored-kb",
        type=float,
        default=24.0,
        help="kilobytes of an image on disk, for the model (default: %(default)s)",
    )
    parser.add_argument(
        "--decoded",
        type=float,
        default=1300.0,
        help="images that a processor core decodes in a second, for the model "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        default=100.0,
        help="milliseconds of a step on one real device, for the model (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Prints the measured steps, then the modelled ones."""

    def make_command(devices: int, *more: str) -> list[str]:
        path = Path(__file__).with_name("multi_device.py")
        network = (options.arch, options.unfreeze, str(options.size), str(options.batch))
        return [sys.executable, str(path), str(devices), *network, *more]

    print(
        f"{options.arch}, {options.unfreeze} blocks unfrozen, {options.size} px, "
        f"batch {options.batch} over all devices, median of {options.rounds} (smallest to largest)"
    )
    programs = {f"{devices} devices": make_command(devices) for devices in options.devices}
    programs["2 processes"] = make_command(1, "together")
    seconds, failed = timing.time_tasks(programs, [TASK], options.rounds)
    first = None
    for devices, values in seconds[TASK].items():
        middle, low, high = (1000 * value for value in timing.median_and_range(values))
        first = first or middle
        print(
            f"  {devices:>11}  {middle:8.1f} ms ({low:.1f}-{high:.1f}), "
            f"{middle / first:.2f} times the first"
        )
    for devices, reason in failed.items():
        print(f"  {devices} did not run: {reason}")
    output = subprocess.run(
        make_command(2, "reductions"), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    reductions = json.loads(output)
    print_model(reductions, options.step_ms)
    rate = options.batch / options.step_ms * 1000
    print_input(rate, options.stored_kb * 1000, options.decoded)
    print(
        f"\ncheckpoint: {reductions['checkpoint'] / 1e6:.1f} MB for any number of devices, each of "
        "which has a copy of the state; the first process writes it, and sends it to the others "
        "when a run resumes"
    )


def print_input(rate: float, size: float, decoded: float) -> None:
    """Prints what reading from disk takes if every device trains on as many images as one.

    Args:
        rate: Images a second of a device.
        size: Bytes of a stored image.
        decoded: Images that a processor core decodes in a second.
    """
    print(
        f"\nimages from disk: {rate:,.0f} a second and device take {rate / decoded:.2f} processor "
        f"cores to decode, and of a shared disk"
    )
    for devices in (1, *DEVICE_COUNTS):
        print(f"{devices:>9} devices: {devices * rate * size / 1e6:>9,.1f} MB a second")


def print_model(reductions: dict[str, int], step_ms: float) -> None:
    """Prints the bytes reduced per step, and the modelled communication time and efficiency."""
    total = reductions["bytes"]
    print(
        f"\nall-reduced per step: {total / 1e6:.2f} MB in {reductions['count']} operations; "
        f"{reductions['gradients'] / 1e6:.2f} MB of it are gradients of trained parameters, the "
        "rest are sums of BatchNorm and metrics"
    )
    print(f"communication time, and efficiency if a step takes {step_ms:g} ms on one device")
    print(
        f"{'devices':>9}"
        + "".join(f"{f'{n}, {b / 1e9:g} GB/s':>28}" for n, b in LINK_BANDWIDTHS.items())
    )
    for devices in DEVICE_COUNTS:
        cells = []
        for bandwidth in LINK_BANDWIDTHS.values():
            ms = 1000 * ring_all_reduce_seconds(total, devices, bandwidth)
            cells.append(f"{ms:.2f} ms, {step_ms / (step_ms + ms):.0%}")
        print(f"{devices:>9}" + "".join(f"{cell:>28}" for cell in cells))


def ring_all_reduce_seconds(size: int, devices: int, bandwidth: float) -> float:
    """Returns the time of a ring all-reduce of `size` bytes at `bandwidth` bytes per second."""
    return 2 * (devices - 1) * (size / devices / bandwidth + LATENCY)

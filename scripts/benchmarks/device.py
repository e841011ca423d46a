"""Correctness and speed on the accelerator that JAX finds: a GPU, a TPU, or this CPU.

Logits, gradients and Adam's step of every network are compared with the CPU's, in float32, TF32
and bfloat16. Forward passes, training steps and augmentation are timed, and PyTorch as well where
it is installed. JAX, Flax, optax and NumPy are enough; TensorFlow is not used.

Each result is written as soon as there is one, the most important ones first. The file lists what
is missing: measurements that failed, or that the run did not reach within --seconds. The exit code
is 1 if a network differs from the CPU by more than its tolerance, or could not be compared.
"""

import argparse
import contextlib
import datetime
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from faceemo import staging
from faceemo.config import ARCHS, AUGMENTATIONS, UNFREEZE

from . import device_report, timing

Cell = dict[str, Any]

_PRECISIONS = ("float32", "tf32", "bfloat16")
_PARTS = ("correctness", "speed", "augmentation", "torch")
_DTYPES = ("float32", "bfloat16")
_PROGRAM = str(Path(__file__).with_name("device_cells.py"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py device`."""
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS, help="backbones")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        help="image sizes, pixels; the smallest is that of the comparison with the CPU "
        "(default: 96 224)",
    )
    parser.add_argument(
        "--unfreeze",
        nargs="+",
        choices=UNFREEZE,
        help="blocks that train, the most important first (default: all 1)",
    )
    parser.add_argument(
        "--parts", nargs="+", default=_PARTS, choices=_PARTS, help="what is measured"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=0,
        help="images on each device (default: 256 up to 128 pixels, 64 above; on a CPU 32 and 8)",
    )
    parser.add_argument("--rounds", type=int, help="timed turns (default: 5)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=290.0,
        help="time for everything; 0: no limit (default: %(default)s)",
    )
    parser.add_argument(
        "--peak-tflops",
        type=float,
        help="most operations a second of the device in 10**12, for devices that the table in "
        "device_facts.py does not have",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only shows that everything works: 48 pixels, 4 images, all blocks, 2 short turns",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("device.json"),
        help="file of the results; the table is beside it, with the ending .md "
        "(default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark, writes results as they are measured, and prints the table.

    Raises:
        SystemExit: If a comparison with the CPU fails or cannot be made.
    """
    if options.quick:
        options.batch = options.batch or 4
    options.sizes = options.sizes or ([48] if options.quick else [96, 224])
    options.unfreeze = options.unfreeze or (["all"] if options.quick else ["all", "1"])
    options.rounds = options.rounds or (2 if options.quick else 5)
    has_torch = importlib.util.find_spec("torch") is not None
    record = Record(options, plan(options, has_torch), has_torch)
    record.write()
    for _, group in itertools.groupby(record.pending(), lambda cell: cell["part"] == "torch"):
        _run_group(list(group), record, options)
    record.write()  # with the time that the last, unfinished measurement took
    print(f"\n{device_report.format_markdown(record.content)}\n{options.out}", flush=True)
    if not record.content["passed"]:
        raise SystemExit(1)


def plan(options: argparse.Namespace, has_torch: bool) -> list[Cell]:
    """Lists all measurements, the most important first."""
    tasks = ["forward", *(f"train {level}" for level in options.unfreeze)]
    combinations = {
        task: [
            {"arch": arch, "size": size, "batch": options.batch, "task": task, "dtype": dtype}
            for dtype in _DTYPES
            for size in options.sizes
            for arch in options.archs
        ]
        for task in tasks
    }
    # Interleaved by task, so that a network's variables are drawn once for both.
    main = [
        cell for pair in zip(*(combinations[t] for t in tasks[:2]), strict=True) for cell in pair
    ]
    more = [cell for task in tasks[2:] for cell in combinations[task]]
    cells = [
        *(
            {"part": "correctness", "arch": arch, "size": min(options.sizes), "precision": name}
            for arch in options.archs
            for name in _PRECISIONS
        ),
        *({"part": "speed", **cell} for cell in main),
        *(
            {"part": "augmentation", "level": level, "size": size, "batch": options.batch}
            for size in options.sizes
            for level in AUGMENTATIONS
        ),
        *(
            {"part": "torch", **cell, "mode": mode}
            for mode in ("eager", "compile")
            for cell in main
            if has_torch
        ),
        *({"part": "speed", **cell} for cell in more),
    ]
    return [cell for cell in cells if cell["part"] in options.parts]


class Record:
    """The results so far, in a file that is whole at any time.

    Attributes:
        content: What the file holds.
        deadline: Time of `time.monotonic` at which measuring ends.
    """

    def __init__(self, options: argparse.Namespace, cells: list[Cell], has_torch: bool) -> None:
        self._out, self._began = options.out, time.monotonic()
        self.deadline = self._began + (options.seconds or float("inf"))
        chosen = {name: value for name, value in vars(options).items() if name != "out"}
        self.content: dict[str, Any] = {
            "machine": timing.describe_machine(),
            "device": None,
            "torch_installed": has_torch,
            "options": chosen,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "elapsed_seconds": 0.0,
            "passed": False,
            "results": [],
            "missing": [cell | {"reason": "not reached"} for cell in cells],
        }

    def pending(self) -> list[Cell]:
        """Returns the measurements that have not been tried, in their order."""
        return [
            {name: value for name, value in cell.items() if name != "reason"}
            for cell in self.content["missing"]
            if cell["reason"] == "not reached"
        ]

    def add(self, cell: Cell, result: dict[str, Any]) -> None:
        """Adds the result of a measurement, or the reason why there is none, and writes."""
        missing = self.content["missing"]
        place = missing.index(cell | {"reason": "not reached"})
        if "failed" in result:
            missing[place]["reason"] = result["failed"]
        else:
            del missing[place]
            self.content["results"].append(cell | result)
        self.write()
        print(device_report.format_progress(cell, result), flush=True)

    def write(self) -> None:
        """Writes the file and the table beside it."""
        content = self.content
        compared = [row for row in content["results"] if row["part"] == "correctness"]
        content["passed"] = all(row["passed"] for row in compared) and not any(
            cell["part"] == "correctness" for cell in content["missing"]
        )
        content["elapsed_seconds"] = time.monotonic() - self._began
        with staging.file(self._out) as path:
            text = json.dumps(content, indent=1, default=str, allow_nan=False)
            path.write_text(text + "\n", "utf-8")
        with staging.file(self._out.with_suffix(".md")) as path:
            path.write_text(device_report.format_markdown(content), "utf-8")


def _run_group(cells: list[Cell], record: Record, options: argparse.Namespace) -> None:
    """Measures in a process of its own; where one is lost with its process, goes on behind it."""
    settings = {"rounds": options.rounds, "turn": 0.05 if options.quick else 0.3}
    while cells and time.monotonic() < record.deadline:
        with _start(cells, settings, record.deadline) as (lines, describe_end):
            first = json.loads(next(lines, "null"))
            if first:
                record.content["device"] = first["device"] or record.content["device"]
            for line in lines if first else ():
                result = device_report.complete(cells[0], json.loads(line), record.content)
                record.add(cells.pop(0), result)
            reason = {"failed": f"the process ended: {describe_end()}"}
        if time.monotonic() >= record.deadline:
            return
        # A process that cannot start will not start for the others either.
        for _ in range(min(len(cells), 1) if first else len(cells)):
            record.add(cells.pop(0), reason)


@contextlib.contextmanager
def _start(cells: list[Cell], settings: dict[str, Any], deadline: float) -> Iterator[Any]:
    """Starts the program; yields its lines of output, and a function that describes its end."""
    command = [sys.executable, _PROGRAM, json.dumps(cells), json.dumps(settings)]
    with (
        tempfile.TemporaryFile("w+") as log,
        # Whose standard input closes when this process ends, however it ends.
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        # At the deadline even a compilation that hangs ends, and the results so far remain.
        left = min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
        timer = threading.Timer(left, process.kill)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            yield process.stdout, lambda: _describe_end(process, log)
        finally:
            timer.cancel()
            process.kill()


def _describe_end(process: subprocess.Popen, log: IO[str]) -> str:
    return f"{timing.last_line(log)} (exit code {process.wait()})"

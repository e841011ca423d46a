"""Program that device.py runs: carries out measurements, and prints each result as a line of JSON.

    python device_cells.py CELLS OPTIONS

CELLS is a JSON list of objects: a 'part' ('correctness', 'speed', 'augmentation' or 'torch') with
the arguments of its function; a 'batch' of 0 is the default of the device. OPTIONS is a JSON object
with 'rounds' and 'turn' (seconds). The first line describes the devices, under 'device'; it is
empty for PyTorch's cells, which are in a process of their own, because JAX would hold memory. The
program ends when its standard input does.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import device_facts

TORCH = "torch"


def main(cells: list[dict[str, Any]], options: dict[str, Any]) -> None:
    """Measures all cells in turn; one that raises has the reason under 'failed'."""
    functions, on_cpu, device = _load(torch=all(cell["part"] == TORCH for cell in cells))
    print(json.dumps({"device": device}), flush=True)
    for cell in cells:
        arguments = {name: value for name, value in cell.items() if name != "part"}
        if "batch" in arguments:
            arguments["batch"] = arguments["batch"] or device_facts.default_batch(
                on_cpu, cell["size"]
            )
        if cell["part"] != "correctness":
            arguments |= options
        began = time.perf_counter()
        try:
            result = functions[cell["part"]](**arguments)
        # The other cells still count: a device may be too small for one of them.
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            result = {"failed": f"{type(error).__name__}: {reason}"[:500]}
        result |= {"took": time.perf_counter() - began}
        print(json.dumps(result, allow_nan=False), flush=True)


def _load(torch: bool) -> tuple[dict[str, Callable[..., Any]], bool, dict[str, Any]]:
    """Imports what the cells need: returns functions, whether on a CPU, and the devices."""
    if torch:
        import device_torch

        return {TORCH: device_torch.measure_network}, not device_torch.on_gpu(), {}
    _let_cpu_stand_beside()
    import device_correctness
    import device_speed

    functions = {
        "correctness": device_correctness.check,
        "speed": device_speed.measure_network,
        "augmentation": device_speed.measure_augmentation,
    }
    device = device_speed.describe_device()
    return functions, device["platform"] == "cpu", device


def _let_cpu_stand_beside() -> None:
    """Sets JAX's environment: the CPU beside the accelerator, and memory taken only as needed."""
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms and "cpu" not in platforms.split(","):
        os.environ["JAX_PLATFORMS"] = f"{platforms},cpu"
    # Otherwise three quarters of a GPU's memory would count as used, whatever a step needs.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A program from the cache would have no compile time.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def _end_with_input() -> None:
    """Ends the process with that of device.py, so that none stays behind on the device."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]))

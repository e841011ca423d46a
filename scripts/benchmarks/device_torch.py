"""Part of device.py: the same networks in PyTorch on the accelerator, channels last."""

# Only the extra 'bench' has PyTorch.
# pyright: reportMissingImports=false

from typing import Any

import frameworks
import timing
import torch


def on_gpu() -> bool:
    """Returns whether PyTorch has a GPU."""
    return torch.cuda.is_available()


def measure_network(
    arch: str, size: int, batch: int, task: str, dtype: str, mode: str, rounds: int, turn: float
) -> dict[str, Any]:
    """Measures a task of device_speed.py in PyTorch.

    Args:
        arch: Name of the backbone.
        size: Side of the images, in pixels.
        batch: Images a step.
        task: 'forward', or 'train LEVEL'.
        dtype: 'float32', in which products are TF32 where the GPU has it, or 'bfloat16' for AMP.
        mode: 'eager', or 'compile' for torch.compile.
        rounds: Number of timed turns.
        turn: Seconds of a turn.

    Returns:
        'seconds' a step of each turn, 'images' a step, 'device' ('cuda' or 'cpu'), 'torch' (the
        version), 'first_seconds' (the first step, compilation included), 'peak_mib' of the GPU, or
        None.
    """
    device = "cuda" if on_gpu() else "cpu"
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    wait = torch.cuda.synchronize if on_gpu() else lambda: None
    if on_gpu():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    launch = frameworks.make_torch_tasks(
        arch,
        size,
        batch,
        [] if task == "forward" else [task.removeprefix("train ")],
        device=device,
        amp=dtype == "bfloat16",
        compiled=mode == "compile",
    )[task]

    def run_first() -> None:
        launch()
        wait()

    first = timing.time_call(run_first)
    return {
        "seconds": timing.time_turns(launch, wait, rounds, turn),
        "images": batch,
        "device": device,
        "torch": torch.__version__,
        "first_seconds": first,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if on_gpu() else None,
    }

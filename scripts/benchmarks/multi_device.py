"""Program that scaling.py times: a training step on simulated CPU devices.

    python multi_device.py DEVICES ARCH LEVEL SIZE BATCH [reductions]

With 'reductions' it prints, as JSON, what the step all-reduces.
"""

import json
import os
import re
import sys
from typing import Any

import numpy as np
import timing

_REDUCTION = re.compile(r"= (.*?) all-reduce(?:-start)?\(")
_SHAPE = re.compile(r"([a-z]+)(\d+)\[([\d,]*)\]")


def main(devices: int, arch: str, level: str, size: int, batch: int, *what: str) -> None:
    """Runs the timed task 'train', or prints the reductions."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    step, arguments, trained = make_training_step(arch, level, size, batch)
    if what:
        program = step.lower(*arguments).compile().as_text()
        print(json.dumps(count_reductions(program) | {"gradients": 4 * trained}))
        return
    import jax

    current = [arguments[0]]

    def run() -> None:
        current[0], sums = step(current[0], *arguments[1:])
        jax.block_until_ready((current[0], sums))

    timing.run_tasks({"train": run}, min_seconds=2.0)


def make_training_step(
    arch: str, level: str, size: int, batch: int
) -> tuple[Any, tuple[Any, ...], int]:
    """Makes the mapped step, its arguments (state, batch, seed), and counts trained parameters."""
    import run_steps

    from faceemo import models
    from faceemo.config import make_config
    from faceemo.train import freezing

    config = make_config(arch, f"9,weights=none,image_size={size},unfreeze={level}")
    model = models.build(config)
    variables = model.init(0)
    step, arguments = run_steps.make_training(
        model,
        variables,
        run_steps.make_batch(batch),
        learning_rate=config.learning_rate,
        augmentation=config.augmentation,
    )
    plan = freezing.make_plan(model, variables["params"], variables["batch_stats"])
    return step, arguments, sum(row["trained"] for row in plan)


def count_reductions(program: str) -> dict[str, int]:
    """Counts the all-reduces of a compiled program and their bytes."""
    shapes = _REDUCTION.findall(program)
    total = 0
    for shape in shapes:
        for _, bits, dims in _SHAPE.findall(shape):
            total += int(bits) // 8 * int(np.prod([int(dim) for dim in dims.split(",") if dim]))
    return {"count": len(shapes), "bytes": total}


if __name__ == "__main__":
    _, devices, arch, level, size, batch, *what = sys.argv
    main(int(devices), arch, level, int(size), int(batch), *what)

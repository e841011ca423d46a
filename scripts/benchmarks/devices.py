"""Run as a program: a training step on so many devices of this processor (see scaling.py).

python devices.py DEVICES ARCH LEVEL SIZE BATCH [reductions]
"""

import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import timing

_REDUCTION = re.compile(r"= (.*?) all-reduce(?:-start)?\(")
_SHAPE = re.compile(r"([a-z]+)(\d+)\[([\d,]*)\]")


def main(devices: int, arch: str, level: str, size: int, batch: int, *what: str) -> None:
    """Answers, or prints what the step adds over the devices."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    step, arguments, trained = training(arch, level, size, batch)
    if what:
        program = step.lower(*arguments).compile().as_text()
        print(json.dumps(reductions(program) | {"gradients": 4 * trained}))
        return
    import jax

    current = [arguments[0]]

    def run() -> None:
        current[0], sums = step(current[0], *arguments[1:])
        jax.block_until_ready((current[0], sums))

    timing.answer({"train": run}, at_least=2.0)


def training(arch: str, level: str, size: int, batch: int) -> tuple[Any, tuple[Any, ...], int]:
    """The mapped step, its arguments, and how many parameters train."""
    from faceemo import models
    from faceemo.config import make_config
    from faceemo.data.pipeline import Batch
    from faceemo.train import freezing, parallel, state, steps

    config = make_config(arch, f"9,weights=none,image_size={size},unfreeze={level}")
    model = models.build(config)
    variables = model.init(0)
    labels = freezing.label_params(model, variables["params"])
    optimizer = freezing.make_optimizer(config.learning_rate, labels)
    step: Callable[..., Any] = parallel.train_on_devices(
        steps.make_train_step(
            model,
            optimizer,
            labels,
            model.preprocessing,
            augmentation=config.augmentation,
            class_weights=np.ones(4, np.float32),
            axis_name=parallel.AXIS,
        )
    )
    images = np.random.default_rng(0).integers(0, 256, (batch, 48, 48), np.uint8)
    index = np.arange(batch, dtype=np.int32)
    whole = parallel.shard(Batch(images, index % 4, np.ones(batch, np.float32), index))
    start = parallel.replicate(state.create(variables, optimizer, 0))
    plan = freezing.freeze_plan(model, variables["params"], variables["batch_stats"])
    return step, (start, whole, 0), sum(row["trained"] for row in plan)


def reductions(program: str) -> dict[str, int]:
    """How many all-reduces a compiled program has, and the bytes that they add."""
    shapes = _REDUCTION.findall(program)
    total = 0
    for found in shapes:
        for _, bits, sides in _SHAPE.findall(found):
            total += int(bits) // 8 * int(np.prod([int(side) for side in sides.split(",") if side]))
    return {"count": len(shapes), "bytes": total}


if __name__ == "__main__":
    _, devices, arch, level, size, batch, *what = sys.argv
    main(int(devices), arch, level, int(size), int(batch), *what)

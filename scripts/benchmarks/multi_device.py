"""Program that scaling.py times: a training step on simulated CPU devices.

    python multi_device.py DEVICES ARCH LEVEL SIZE BATCH [reductions | together]

With 'reductions' it prints, as JSON, what the step all-reduces and what a checkpoint holds. With
'together' it starts a second process, which trains with it, and takes a step whenever it reads a
line: alone in a step, it would soon give up.
"""

import json
import os
import re
import socket
import subprocess
import sys
import traceback
from typing import Any

import numpy as np
import timing

_REDUCTION = re.compile(r"= (.*?) all-reduce(?:-start)?\(")
_SHAPE = re.compile(r"([a-z]+)(\d+)\[([\d,]*)\]")


def main(devices: int, arch: str, level: str, size: int, batch: int, *what: str) -> None:
    """Runs the timed task 'train', or prints the reductions."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    follows = what[:1] == ("follow",)
    other = None
    if follows or what == ("together",):
        other = join_other(int(what[1]) if follows else None)
        batch //= 2  # this process's part
    step, arguments, trained = make_training_step(arch, level, size, batch)
    if what == ("reductions",):
        program = step.lower(*arguments).compile().as_text()
        sizes = {"gradients": 4 * trained, "checkpoint": count_bytes(arguments[0])}
        print(json.dumps(count_reductions(program) | sizes))
        return
    import jax

    current = [arguments[0]]

    def run() -> None:
        if other:
            assert other.stdin is not None
            other.stdin.write(b"step\n")
            other.stdin.flush()
        current[0], sums = step(current[0], *arguments[1:])
        jax.block_until_ready((current[0], sums))

    if follows:
        for _ in sys.stdin.buffer:
            run()
        return
    failed = 0
    try:
        timing.run_tasks({"train": run}, min_seconds=2.0)
    except Exception:
        traceback.print_exc()
        failed = 1
    if other:
        other.kill()
        os._exit(failed)  # JAX would wait for the other to end by itself
    sys.exit(failed)


def join_other(port: int | None) -> subprocess.Popen | None:
    """Makes this process one of two: the first, which starts the second, if `port` is None.

    Returns:
        The second process, or None in it.
    """
    from faceemo.train import parallel

    if port is None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            found = probe.getsockname()[1]
        command = [sys.executable, *sys.argv[:-1], "follow", str(found)]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        # JAX's collectives print a line, and standard output carries the times.
        sys.stdout = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        parallel.join(f"localhost:{found}", 2, 0)
        return other
    parallel.join(f"localhost:{port}", 2, 1)
    return None


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


def count_bytes(state: Any) -> int:
    """Counts the bytes of a training state, which has a leading device axis: those of one copy."""
    import jax

    return sum(leaf.nbytes // leaf.shape[0] for leaf in jax.tree.leaves(state))


if __name__ == "__main__":
    _, devices, arch, level, size, batch, *what = sys.argv
    main(int(devices), arch, level, int(size), int(batch), *what)

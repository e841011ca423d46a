"""Runs of the tiny model in processes of their own (see `run_tiny`), with a time limit."""

import json
import socket

import numpy as np
import orbax.checkpoint as ocp

from faceemo.train.checkpoint.digest import named_leaves
from tests.support import forked
from tests.support.xla import COMPILE_QUICKLY

LIMIT = 240


def start(workdir, changes, *, devices=1, options=()):
    """Starts `run_tiny` in a process with `devices` CPU devices."""
    return forked.Process(
        "tests.support.train.run_tiny",
        workdir,
        json.dumps(changes),
        *options,
        XLA_FLAGS=f"--xla_force_host_platform_device_count={devices} {COMPILE_QUICKLY}",
    )


def finish(*processes):
    """Waits for all processes; returns (exit code, standard output, standard error) of each."""
    try:
        pairs = [process.communicate(timeout=LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *pair) for process, pair in zip(processes, pairs, strict=True)]


def run(workdir, changes, **options):
    """Runs `run_tiny` to its end; returns the JSON that it prints."""
    ((code, output, errors),) = finish(start(workdir, changes, **options))
    assert code == 0, errors
    return json.loads(output.splitlines()[-1])


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def results(history):
    """Returns the rows of a history without their times."""
    return [{k: v for k, v in row.items() if "second" not in k} for row in history]


def stored(folder):
    """Reads every array in the checkpoints of WORKDIR/latest or WORKDIR/best with Orbax alone."""
    found = {}
    for step in folder.iterdir():
        for item in ("weights", "training") if step.name.isdecimal() else ():
            if (step / item).exists():
                tree = ocp.StandardCheckpointer().restore((step / item).absolute())
                for name, leaf in named_leaves(tree).items():
                    found[f"{step.name}/{item}/{name}"] = np.asarray(leaf)
    return found


def assert_identical(one, two):
    """Asserts that two runs' folders hold the same checkpoints, bit for bit."""
    for series in ("latest", "best", "frozen"):
        left, right = stored(one / series), stored(two / series)
        assert left.keys() == right.keys()
        assert left or series == "frozen"
        for name in left:
            assert left[name].dtype == right[name].dtype
            assert left[name].tobytes() == right[name].tobytes(), f"{series}/{name}"

"""Runs programs that use Keras in a process of their own."""

import os
import subprocess
import sys


def run(program, *arguments):
    """Runs a program to its end; fails the test if it fails."""
    # The tests' settings of JAX and XLA are not meant for TensorFlow.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"Keras must run: {done.stderr[-3000:]}"

"""Runs a program that asks Keras, in a process of its own."""

import os
import subprocess
import sys


def run(program, *arguments):
    """Waits for it; whatever keeps Keras from running fails the test."""
    # This process's two-device flag means nothing to TensorFlow, and JAX is not to be started.
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

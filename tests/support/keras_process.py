"""Runs programs that use Keras in a process of their own."""

import os

from tests.support import forked


def run(program, *arguments):
    """Runs a program to its end; fails the test if it fails."""
    # The tests' settings of JAX and XLA are not meant for TensorFlow.
    unset = {name: None for name in os.environ if name.startswith(("XLA_", "JAX_"))}
    done = forked.run(program, *arguments, **unset)
    assert done.returncode == 0, f"Keras must run: {done.stderr[-3000:]}"

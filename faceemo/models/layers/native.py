"""Which formulations of the layers a function that is traced gets: the CPU's, or XLA's own."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_native_only = contextvars.ContextVar("native_only", default=False)


def on_cpu() -> bool:
    """Returns whether to use the CPU's formulations: on CPUs outside `native_convolutions`."""
    return jax.default_backend() == "cpu" and not _native_only.get()


@contextlib.contextmanager
def native_convolutions() -> Iterator[None]:
    """Makes functions that are traced inside use XLA's operations, which suit every device."""
    token = _native_only.set(True)
    try:
        yield
    finally:
        _native_only.reset(token)

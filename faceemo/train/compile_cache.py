"""Compiled programs kept on disk: a second start loads what the first one compiled."""

import hashlib
import platform
from pathlib import Path

import jax

from faceemo.assets import catalogue

# Of all programs together, in bytes; those not used for longest go first.
_LIMIT = 2**30
# Seconds of compiling that are worth a file.
_WORTH = 0.2


def keep() -> None:
    """Keeps what is compiled from here on in the cache folder of `faceemo.assets.catalogue`.

    Before the first use of JAX that compiles, which looks for the folder once. JAX finds a program
    by its code, the devices, its own version and its options: another model, size or batch is
    another file. Each kind of processor has a folder of its own: programs use all that theirs can
    do, and a home may be shared. A folder that the user has named ($JAX_COMPILATION_CACHE_DIR)
    stays.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update(
            "jax_compilation_cache_dir", str(catalogue.cache_dir() / "compiled" / _processor())
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH)
        jax.config.update("jax_compilation_cache_max_size", _LIMIT)


def _processor() -> str:
    """A name for what this processor can do."""
    able = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        able += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(able.encode()).hexdigest()[:12]

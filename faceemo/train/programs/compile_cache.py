"""Compiled programs on disk: a second process loads what the first one compiled."""

from pathlib import Path

import jax

from faceemo.assets import catalogue
from faceemo.assets.processor import processor_id

# Bytes of all programs together; the least recently used are removed first.
_MAX_BYTES = 2**30
# Programs that compile faster than this, in seconds, are not stored.
_MIN_SECONDS = 0.2

_enabled = False


def enable() -> None:
    """Stores compiled programs in the cache folder of `faceemo.assets.catalogue` from here on.

    Must be called before JAX first compiles, which is when it looks for the folder. JAX finds a
    program by its code, the devices, its own version and its options: another model, size or batch
    is another file. Each kind of processor has a folder of its own, because programs use all of
    its instructions and machines may share a home directory. A folder that the user has set
    ($JAX_COMPILATION_CACHE_DIR) is left as it is.
    """
    global _enabled
    _enabled = True
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update(
            "jax_compilation_cache_dir", str(catalogue.cache_dir() / "compiled" / processor_id())
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_SECONDS)
        jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)


def folder() -> Path | None:
    """Returns the folder that stores compiled programs, or None before `enable`."""
    return Path(jax.config.values["jax_compilation_cache_dir"]) if _enabled else None

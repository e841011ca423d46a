"""An option of XLA's compiler with which networks are faster on CPUs."""

import os

import jax
import jaxlib.version

# Without it, XLA also gives groups of neighbouring operations to the library that multiplies
# matrices. The last pooling and the dense layers of VGG16 at 224 pixels, for one, were such a
# group, which took 1.1 seconds for 8 images; its products alone take 0.04 (jaxlib 0.10.2).
_NAME = "xla_cpu_experimental_ynn_fusion_type"
_PRODUCTS_ALONE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
# Versions of jaxlib that have it. Others may not know it, and refuse to compile or to start.
_VERSIONS = frozenset({"0.10.2", "0.12.0.1"})


def options() -> dict[str, bool | str] | None:
    """Returns the `compiler_options` of `jax.jit` for networks; None for XLA's own choice."""
    if jax.default_backend() != "cpu" or jaxlib.version.__version__ not in _VERSIONS:
        return None
    return {_NAME: _PRODUCTS_ALONE}


def set_for_process() -> None:
    """Gives the option to all that this process compiles; must precede any other use of JAX.

    It does nothing if the variable XLA_FLAGS has the option already.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if jaxlib.version.__version__ in _VERSIONS and _NAME not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_NAME}={_PRODUCTS_ALONE}".strip()

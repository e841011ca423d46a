"""Every test runs on two CPU devices, with silent rank promotion an error.

What one test has compiled the others load, in whatever process they are.
"""

import atexit
import os
import shutil
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the workers of xdist have it from the first
    COMPILED = tempfile.mkdtemp(prefix="faceemo-compiled-")
    atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

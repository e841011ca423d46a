"""The kind of processor, for what holds on one kind alone."""

import functools
import hashlib
import platform
from pathlib import Path


def processor_id() -> str:
    """Returns an identifier of this kind of processor: 12 hex digits, a digest of its features."""
    features = platform.machine() + _features_line()
    return hashlib.sha256(features.encode()).hexdigest()[:12]


@functools.cache
def processor_features() -> frozenset[str]:
    """Returns the names of its features in Linux's words, such as 'avx2'; none elsewhere."""
    return frozenset(_features_line().partition(":")[2].split())


def _features_line() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return ""
    lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")

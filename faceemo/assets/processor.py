"""The kind of processor, for what is kept in the cache and holds on one kind alone."""

import hashlib
import platform
from pathlib import Path


def processor_id() -> str:
    """Returns an identifier of this kind of processor: 12 hex digits, a digest of its features."""
    features = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        features += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(features.encode()).hexdigest()[:12]

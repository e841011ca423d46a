"""Sessions of onnxruntime on the CPU."""

import importlib.util
import os
from typing import Any

from faceemo.errors import missing_packages
from faceemo.inference import forks


def open_session(content: bytes) -> Any:
    """Opens an ONNX file in onnxruntime, whose threads a forked process would lack.

    The threads sleep while they have no work. By default they would spin, which takes the cores
    from whatever else this process does, and from other processes.

    Args:
        content: The content of the file.

    Raises:
        UserError: If onnxruntime is not installed.
    """
    with missing_packages("onnx"):
        import onnxruntime
    forks.note_threads("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _count_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def is_installed() -> bool:
    """Returns whether onnxruntime is installed."""
    try:
        return importlib.util.find_spec("onnxruntime") is not None
    except (ImportError, ValueError):  # its import is blocked
        return False


def _count_threads() -> int:
    """Returns the number of cores if this process may not use all; otherwise 0.

    0 makes onnxruntime take one thread for each physical core, and bind it there, which fails where
    some are forbidden, as in a container.
    """
    if not hasattr(os, "sched_getaffinity"):  # macOS and Windows
        return 0
    usable = len(os.sched_getaffinity(0))
    return usable if usable != os.cpu_count() else 0

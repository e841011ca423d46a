"""The engine that runs a network's ONNX file by onnxruntime, on the CPU."""

import functools
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.errors import missing_packages
from faceemo.inference import forks
from faceemo.inference.engine.names import ONNX


class OnnxEngine:
    """Computes logits with onnxruntime; thread-safe.

    Its threads sleep while they have no work. By default they would spin, which takes the cores
    from the search for faces, and from other processes.

    Attributes:
        name: The engine's name.
    """

    name = ONNX

    def __init__(self, model: Path | bytes, columns: Sequence[int] | None = None):
        """Takes a network.

        Args:
            model: A file that `onnx_file.write` wrote with logits, or its content.
            columns: The logits to keep; None keeps all.

        Raises:
            OSError: If the file cannot be read.
        """
        self._columns = columns
        if isinstance(model, bytes):
            self._content: bytes | mmap.mmap = model
        else:  # it stays readable when another process removes it from the cache
            with model.open("rb") as file:
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the content of the file."""
        return OnnxEngine, (bytes(self._content), self._columns)

    def __str__(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def logits(self, crops: np.ndarray) -> np.ndarray:
        """Computes logits float32 [N, C] of faces in the network's format."""
        (logits,) = self._session.run(None, {"faces": crops})
        rows = np.asarray(logits)
        return rows if self._columns is None else rows[:, self._columns]

    # Made when first needed, as the programs of JAX are.
    @functools.cached_property
    def _session(self) -> Any:
        """The session of onnxruntime, whose threads a forked process would lack.

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
        return onnxruntime.InferenceSession(
            bytes(self._content), options, providers=["CPUExecutionProvider"]
        )


def _count_threads() -> int:
    """Returns the number of cores if this process may not use all; otherwise 0.

    0 makes onnxruntime take one thread for each physical core, and bind it there, which fails where
    some are forbidden, as in a container.
    """
    if not hasattr(os, "sched_getaffinity"):  # macOS and Windows
        return 0
    usable = len(os.sched_getaffinity(0))
    return usable if usable != os.cpu_count() else 0

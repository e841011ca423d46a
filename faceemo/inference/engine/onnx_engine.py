"""The engine that runs a network's ONNX file by onnxruntime, on the CPU."""

import functools
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo.inference.engine.names import ONNX
from faceemo.inference.engine.sessions import open_session


class OnnxEngine:
    """Computes logits with onnxruntime; thread-safe.

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
        """The session of onnxruntime.

        Raises:
            UserError: If onnxruntime is not installed.
        """
        return open_session(bytes(self._content))

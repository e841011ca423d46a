"""Small grey images in a file, so that each image is decoded once, also across kills."""

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE = 48  # pixels
NAME = ".thumbnails"  # in a dataset's folder, until its ledger is written

_KEY_BYTES = 32
_RECORD_BYTES = _KEY_BYTES + SIDE * SIDE


class Thumbnails:
    """Grey squares by the sha256 of the pixels that they were made from; thread-safe.

    A square takes 2.3 kB of disk, and 200 bytes of memory.

    Args:
        path: The file, which is made if it is not there; of one that a kill cut off, the whole
            records count. None takes a file without a name.
    """

    def __init__(self, path: Path | None = None):
        self._file = tempfile.TemporaryFile() if path is None else path.open("a+b")  # noqa: SIM115
        self._lock = threading.Lock()
        count = os.fstat(self._file.fileno()).st_size // _RECORD_BYTES
        self._file.truncate(count * _RECORD_BYTES)
        self._places: dict[bytes, int] = {}
        for place in range(count):
            key = os.pread(self._file.fileno(), _KEY_BYTES, place * _RECORD_BYTES)
            self._places[key] = place

    def __contains__(self, pixels_sha256: str) -> bool:
        return bytes.fromhex(pixels_sha256) in self._places

    def get(self, pixels_sha256: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns a square, uint8 [48, 48].

        Args:
            pixels_sha256: The sha256, hexadecimal.
            make: Returns the square, which is added to the file, if it is not there.
        """
        key = bytes.fromhex(pixels_sha256)
        with self._lock:
            place = self._places.get(key)
        if place is not None:
            start = place * _RECORD_BYTES + _KEY_BYTES
            content = os.pread(self._file.fileno(), SIDE * SIDE, start)
            return np.frombuffer(content, np.uint8).reshape(SIDE, SIDE)
        grey = make()
        with self._lock:
            if key not in self._places:
                self._file.write(key + grey.tobytes())
                self._file.flush()
                self._places[key] = len(self._places)
        return grey

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

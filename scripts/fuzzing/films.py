"""Short films in the containers that OpenCV writes, made in code."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from .corpus import draw_image

_SIZE, _FRAMES, _FPS = 64, 3, 10
_MJPEG, _MPEG4 = (cv2.VideoWriter.fourcc(*name) for name in ("MJPG", "mp4v"))
_FLV_SORENSON = 0x02  # the number of this codec in the container
# Codec by container. Matroska is not among them, because it stores a random number.
_CODECS = {".avi": _MJPEG, ".flv": _FLV_SORENSON, ".mp4": _MPEG4, ".ts": _MPEG4}


@functools.cache
def films() -> Mapping[str, bytes]:
    """Makes films of three faces, as {file name: content}."""
    return {f"film{suffix}": _encode(suffix, code) for suffix, code in _CODECS.items()}


def _encode(suffix: str, code: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film{suffix}")
        writer = cv2.VideoWriter(str(path), code, _FPS, (_SIZE, _SIZE))
        for number in range(_FRAMES):
            frame = np.asarray(draw_image(number, _SIZE))
            writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
        writer.release()
        return path.read_bytes()

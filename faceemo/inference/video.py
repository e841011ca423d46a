"""Frames of a video file or a webcam, one at a time, and videos written frame by frame."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from faceemo import staging
from faceemo.data.decode import pixels_of
from faceemo.errors import UserError
from faceemo.inference.images import Picture

SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
_USUAL = 25.0  # frames per second, where a source does not say


class Video:
    """A source of frames.

    Args:
        source: a file, or the index of a webcam.
        every: of so many frames one is looked at; the others are not decoded.

    Raises:
        UserError: if it cannot be opened.
    """

    def __init__(self, source: Path | int, every: int = 1):
        self.name = f"webcam {source}" if isinstance(source, int) else str(source)
        self.live = isinstance(source, int)
        self.every = every
        self._source = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        if not self._source.isOpened():
            raise UserError(
                expected=f"a video that OpenCV can open: {self.name}",
                found="nothing that it can",
                fix="check the path or the camera's index, or convert the file to MP4 (H.264)",
            )
        fps = self._source.get(cv2.CAP_PROP_FPS)
        self.fps = fps if fps > 0 else _USUAL

    @property
    def frames(self) -> int | None:
        """How many will be looked at; None where nobody knows."""
        count = int(self._source.get(cv2.CAP_PROP_FRAME_COUNT))
        return -(-count // self.every) if count > 0 else None

    def pictures(self) -> Iterator[Picture]:
        """The frames that are looked at; their index is that of the frame, from 0."""
        index = 0
        while self._source.grab():
            if index % self.every == 0:
                ok, bgr = self._source.retrieve()
                name = f"{self.name}#{index}"
                if ok:
                    rgb = Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))
                    yield Picture(index, name, pixels_of(rgb))
                else:
                    yield Picture(index, name, None, "a frame that cannot be decoded")
            index += 1
        self._source.release()


@contextlib.contextmanager
def written(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields what takes frames, uint8 [H, W, 3] (red, green, blue), all of one size.

    The file is in its place when all are written, or not at all.

    Raises:
        UserError: if no video of that name can be written.
    """
    with staging.file(path) as partial:
        writer = cv2.VideoWriter()

        def write(rgb: np.ndarray) -> None:
            height, width = rgb.shape[:2]
            if not writer.isOpened():
                writer.open(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
            if not writer.isOpened():
                raise UserError(
                    expected=f"a video to be written at {path}",
                    found=f"that OpenCV cannot write '{path.suffix}'",
                    fix="name a file that ends in .mp4",
                )
            writer.write(np.ascontiguousarray(rgb[..., ::-1]))

        try:
            yield write
        finally:
            writer.release()
        if not partial.exists():
            raise UserError(
                expected=f"frames for {path}",
                found="a video without any",
                fix="check that a player shows the video",
            )

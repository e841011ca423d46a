"""Frames of a video file or a webcam, one at a time, and videos written frame by frame."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from faceemo import staging
from faceemo.data.measure.decode import Pixels
from faceemo.errors import UserError
from faceemo.inference.images import Picture

SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
_USUAL = 25.0  # frames per second, where a source does not say
# These hold no number of frames: OpenCV takes their duration, which may be that of the sound, times
# a rate, which may vary.
_ESTIMATING = {".mkv", ".mpeg", ".mpg", ".webm", ".wmv"}


def is_video(path: Path) -> bool:
    """Whether it has the name of one."""
    return path.suffix.lower() in SUFFIXES


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
        self._estimates = Path(self.name).suffix.lower() in _ESTIMATING
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
        """The frames that are looked at; their index is that of the frame, from 0.

        Where the source ends before its time, a last one without pixels says so.
        """
        index, seconds = 0, 0.0
        while self._source.grab():
            seconds = self._source.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index % self.every == 0:
                ok, bgr = self._source.retrieve()
                name = f"{self.name}#{index}"
                if ok:
                    rgb = Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))
                    yield Picture(index, name, Pixels.from_image(rgb))
                else:
                    yield Picture(index, name, None, "a frame that cannot be decoded")
            index += 1
        problem = self._lacking(index, seconds)
        self._source.release()
        if problem:
            yield Picture(index, f"{self.name}#{index}", None, problem)

    def _lacking(self, read: int, seconds: float) -> str:
        """Why the frames that were read are not all; empty if they are, as far as anybody knows.

        Args:
            read: how many.
            seconds: at which the last one stands.
        """
        if self.live:
            return "the camera gives no more"
        if not read:
            return "no frame can be decoded"
        told = self._source.get(cv2.CAP_PROP_FRAME_COUNT)
        # A second or a tenth less is nothing: what players leave out is counted too.
        if told - read <= min(self.fps, told / 10):
            return ""
        if self._estimates and seconds >= 0.95 * told / self.fps - 1:
            return ""
        return f"it ends here, of {told:.0f} frames: damaged, or cut off"


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

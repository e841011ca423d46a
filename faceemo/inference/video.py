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
from faceemo.inference.images import LoadedImage

SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
_DEFAULT_FPS = 25.0  # if the source does not state its rate
# These containers store no number of frames: OpenCV multiplies their duration, which may be that of
# the sound, by a rate, which may vary.
_WITHOUT_COUNT = {".mkv", ".mpeg", ".mpg", ".webm", ".wmv"}


def is_video(path: Path) -> bool:
    """Returns whether a path has the suffix of a video."""
    return path.suffix.lower() in SUFFIXES


class Video:
    """A source of frames: a video file or a webcam.

    Args:
        source: The file, or the index of the webcam.
        every: The step between the frames that are decoded; 1 decodes all.

    Attributes:
        name: The file's path, or 'webcam 0'.
        live: Whether the source is a webcam.
        every: The step between the frames that are decoded.
        fps: The source's frames per second.

    Raises:
        UserError: If the source cannot be opened.
    """

    def __init__(self, source: Path | int, every: int = 1):
        self.name = f"webcam {source}" if isinstance(source, int) else str(source)
        self.live = isinstance(source, int)
        self._estimates_count = Path(self.name).suffix.lower() in _WITHOUT_COUNT
        self.every = every
        self._source = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        if not self._source.isOpened():
            raise UserError(
                expected=f"a readable video: {self.name}",
                found="a path, camera or file that OpenCV cannot open",
                fix="check the path or the camera's index, or convert the file to MP4 (H.264)",
            )
        fps = self._source.get(cv2.CAP_PROP_FPS)
        self.fps = fps if fps > 0 else _DEFAULT_FPS

    @property
    def frame_count(self) -> int | None:
        """The number of frames of `read_frames`, according to the source; None if unknown."""
        count = int(self._source.get(cv2.CAP_PROP_FRAME_COUNT))
        return -(-count // self.every) if count > 0 else None

    def read_frames(self) -> Iterator[LoadedImage]:
        """Yields every `every`-th frame; its index is its place among all frames, from 0.

        If the source ends too early, a last image without pixels holds the problem.
        """
        index, seconds = 0, 0.0
        while self._source.grab():
            seconds = self._source.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index % self.every == 0:
                ok, bgr = self._source.retrieve()
                name = f"{self.name}#{index}"
                if ok:
                    rgb = Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))
                    yield LoadedImage(index, name, Pixels.from_image(rgb))
                else:
                    yield LoadedImage(index, name, None, "the frame cannot be decoded")
            index += 1
        problem = self._find_problem(index, seconds)
        self._source.release()
        if problem:
            yield LoadedImage(index, f"{self.name}#{index}", None, problem)

    def _find_problem(self, count: int, seconds: float) -> str:
        """Returns why the source ended too early; empty if it did not, as far as can be told.

        Args:
            count: The number of frames that were read.
            seconds: The time of the last one.
        """
        if self.live:
            return "the camera delivers no more frames"
        if not count:
            return "no frame can be decoded"
        expected = self._source.get(cv2.CAP_PROP_FRAME_COUNT)
        # A second or a tenth less is normal: frames that players leave out are counted too.
        if expected - count <= min(self.fps, expected / 10):
            return ""
        if self._estimates_count and seconds >= 0.95 * expected / self.fps - 1:
            return ""
        return f"the video ends here, of {expected:.0f} frames: it is damaged or cut off"


@contextlib.contextmanager
def write_video(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that writes one frame, uint8 [H, W, 3] (red, green, blue).

    All frames must have one size. The file appears when all are written, or not at all.

    Raises:
        UserError: If no video of that name can be written.
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
                    found=f"the suffix '{path.suffix}', which OpenCV cannot write",
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

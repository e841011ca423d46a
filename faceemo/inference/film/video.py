"""Frames of a video file or a webcam, one at a time."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
from PIL import Image

from faceemo.data.measure.decode import Pixels, RefusedImageError
from faceemo.errors import UserError
from faceemo.inference.file_kinds import recognise
from faceemo.inference.film.ffmpeg_path import ffmpeg_path
from faceemo.inference.loaded_image import LoadedImage

_MAX_PIXELS = 2**30 // 12  # of a frame; photographs of more are halved when they are read
_DEFAULT_FPS = 25.0  # if the source does not state its rate
# Other containers store no number of frames: OpenCV multiplies their duration, which may be that of
# the sound, by a rate, which may vary. The suffixes are for files whose content says nothing.
_WITH_COUNT = {"MP4", "AVI", ".mp4", ".m4v", ".mov", ".avi"}


class Video:
    """A source of frames: a video file or a webcam.

    Args:
        source: The file, or the index of the webcam.
        every: The step between the frames that are decoded; 1 decodes all.
        start: The index of the first frame among all images.

    Attributes:
        name: The file's path, or 'webcam 0'.
        live: Whether the source is a webcam.
        sound: The file with the sound of the frames; None if there is none.
        every: The step between the frames that are decoded.
        start: The index of the first frame among all images.
        fps: The source's frames per second.
        next_index: The index after that of the last frame that was read.

    Raises:
        UserError: If the source cannot be opened, or its frames are too large.
    """

    def __init__(self, source: Path | int, every: int = 1, start: int = 0):
        self.every, self.start, self.next_index = every, start, start
        self.sound = None if isinstance(source, int) else source
        if isinstance(source, int):
            self.name, self.live, self._estimates_count = f"webcam {source}", True, False
            self._source = cv2.VideoCapture(source)
        else:
            self.name, self.live = str(source), False
            container = recognise(source).name or source.suffix.lower()
            self._estimates_count = container not in _WITH_COUNT
            # FFmpeg would print lines about damaged films, which `_find_problem` names.
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
            with ffmpeg_path(source) as path:
                self._source = cv2.VideoCapture(path)
        if not self._source.isOpened():
            raise UserError(
                expected=f"a readable video: {self.name}",
                found="a path, camera or file that OpenCV cannot open",
                fix="check the path or the camera's index, or convert the file to MP4 (H.264)",
            )
        self._refuse_huge_frames()
        fps = self._source.get(cv2.CAP_PROP_FPS)
        self.fps = fps if fps > 0 else _DEFAULT_FPS

    def _refuse_huge_frames(self) -> None:
        """Raises a `UserError`, with the reason as its cause, if frames would take gigabytes."""
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (int(self._source.get(side)) for side in sides)
        if width * height <= _MAX_PIXELS:
            return
        self._source.release()
        limit = f"{_MAX_PIXELS / 1e6:.0f} million pixels"
        found = f"frames of {width:,} × {height:,} pixels, more than {limit}; scale the video down"
        raise UserError(
            expected=f"a video with frames of at most {limit}: {self.name}",
            found=f"frames of {width:,} × {height:,} pixels",
            fix="scale the video down",
        ) from RefusedImageError(found)

    @property
    def frame_count(self) -> int | None:
        """The number of frames of `read_frames`, according to the source; None if unknown."""
        count = int(self._source.get(cv2.CAP_PROP_FRAME_COUNT))
        return -(-count // self.every) if count > 0 else None

    def read_frames(self) -> Iterator[LoadedImage]:
        """Yields every `every`-th frame; its name ends in its place among all frames, from 0.

        If the source ends too early, a last image without pixels holds the problem.
        """
        frame, seconds, begin = 0, 0.0, time.monotonic()
        while self._source.grab():
            if self.live:
                seconds = time.monotonic() - begin
            else:
                stated = self._source.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Some films state no times, or a wrong one here and there.
                seconds = stated if not frame or stated > seconds else seconds + 1 / self.fps
            if frame % self.every == 0:
                ok, bgr = self._source.retrieve()
                rgb = Image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)) if ok else None
                yield self._load(frame, rgb, "the frame cannot be decoded", seconds)
            frame += 1
        self.next_index = self.start + frame
        problem = self._find_problem(frame, seconds)
        self._source.release()
        if problem:
            yield self._load(frame, None, problem, seconds)

    def _load(
        self, frame: int, rgb: Image.Image | None, problem: str, seconds: float
    ) -> LoadedImage:
        """Makes the image of a frame; `problem` is the reason if there are no pixels."""
        self.next_index = self.start + frame + 1
        return LoadedImage(
            self.start + frame,
            f"{self.name}#{frame}",
            Pixels.from_image(rgb) if rgb else None,
            "" if rgb else problem,
            round(seconds, 3),
        )

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

"""Frames of an animated image: GIF, APNG, animated WebP or AVIF."""

from collections.abc import Iterator
from pathlib import Path

from faceemo.data.measure.decode import Pixels, describe_problem, open_image, refuse_bombs
from faceemo.errors import UserError
from faceemo.inference.loaded_image import LoadedImage

_DEFAULT_SECONDS = 0.1  # of a frame that states no duration, as browsers play it


class Animation:
    """An animated image as a source of frames, with the interface of `video.Video`.

    Pillow reads it, because FFmpeg knows neither animated WebP nor transparent frames.

    Args:
        path: The file.
        every: The step between the frames that are decoded; 1 decodes all.
        start: The index of its first frame among all images.

    Raises:
        UserError: If the file cannot be opened.
    """

    live = False
    sound = None

    def __init__(self, path: Path, every: int = 1, start: int = 0):
        self.name, self.every, self.next_index = str(path), every, start
        self._start = start
        try:
            content = path.read_bytes()
            self._image = open_image(content)
            refuse_bombs(self._image.size, len(content))
            self._count = int(getattr(self._image, "n_frames", 1))
            self.fps = 1 / self._read_seconds()
        except Exception as error:  # Pillow's readers raise anything on damaged input
            raise UserError(
                expected=f"a readable animation: {path}",
                found=describe_problem(error),
                fix="convert the file to MP4 (H.264)",
            ) from error

    @property
    def frame_count(self) -> int | None:
        """The number of frames of `read_frames`."""
        return -(-self._count // self.every)

    def read_frames(self) -> Iterator[LoadedImage]:
        """Yields every `every`-th frame, as `video.Video.read_frames`."""
        seconds = 0.0
        with self._image:
            for frame in range(self._count):
                index, name = self._start + frame, f"{self.name}#{frame}"
                self.next_index = index + 1
                try:
                    self._image.seek(frame)
                    # A frame may build on the one before, so each of them is decoded.
                    picture = self._image.convert("RGBA")
                    duration = self._read_seconds()
                    pixels = Pixels.from_image(picture) if frame % self.every == 0 else None
                except Exception as error:  # Pillow's readers raise anything on damaged input
                    yield LoadedImage(index, name, None, describe_problem(error), seconds)
                    return
                if pixels is not None:
                    yield LoadedImage(index, name, pixels, time=seconds)
                seconds += duration

    def _read_seconds(self) -> float:
        """Returns the duration of the current frame."""
        return self._image.info.get("duration", 0) / 1000 or _DEFAULT_SECONDS

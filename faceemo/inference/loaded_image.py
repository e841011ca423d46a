"""An image or a frame of a film, decoded, or the reason why it cannot be."""

import dataclasses
from pathlib import Path

from faceemo.data.measure.decode import Pixels, decode


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image, decoded, or the reason why it cannot be.

    Attributes:
        index: The image's place among all that were given, from 0; every frame of a film counts.
        name: The path of its file, 'film.mp4#12' for a frame of a film, or 'image 3'.
        pixels: The decoded pixels; None if the image cannot be decoded.
        problem: The reason then; empty otherwise.
        time: The time of a frame since the beginning of its film, seconds; None for an image.
    """

    index: int
    name: str
    pixels: Pixels | None
    problem: str = ""
    time: float | None = None

    @property
    def film(self) -> str | None:
        """The path of a frame's film; None for an image."""
        return None if self.time is None else self.name.rpartition("#")[0]


def load_image(index: int, path: Path) -> LoadedImage:
    """Reads and decodes a file; a failure is recorded as the image's problem, not raised."""
    try:
        content = path.read_bytes()
    except OSError as error:  # it is gone, forbidden, or on a disk that fails
        return LoadedImage(index, str(path), None, f"{type(error).__name__}: {error.strerror}")
    decoded = decode(content)
    return LoadedImage(index, str(path), decoded.pixels, decoded.problem)

"""The images that an input holds: one, the frames of a film, or the reason why there are none."""

from collections.abc import Iterator

from faceemo.errors import UserError
from faceemo.inference.file_kinds import ANIMATED, FILM, IMAGE, UNREADABLE, Content
from faceemo.inference.film.animation import Animation
from faceemo.inference.film.video import Video
from faceemo.inference.inputs import Input
from faceemo.inference.loaded_image import LoadedImage, load_image


def read_input(given: Input, index: int, every: int = 1) -> Iterator[LoadedImage]:
    """Yields the image, or every `every`-th frame; a problem is recorded in an image.

    Args:
        given: The input.
        index: The index of its first image among all images.
        every: The step between frames.
    """
    source = open_film(given, every, index) if given.kind == FILM else given
    if not isinstance(source, Input):
        yield from source.read_frames()
    elif source.kind == IMAGE:
        yield load_image(index, source.path)
    else:
        yield LoadedImage(index, str(source.path), None, source.content.reason)


def open_film(source: Input, every: int, index: int) -> Video | Animation | Input:
    """Opens a film; returns the input as an unreadable one if that fails.

    Args:
        source: The input.
        every: The step between frames.
        index: The index of its first frame among all images.
    """
    animated = source.content.name in ANIMATED
    try:
        return (Animation if animated else Video)(source.path, every, index)
    except UserError as error:
        # Its package takes time to read, and is needed for few films.
        from faceemo.inference.film.fault import describe_fault

        reason = str(error.__cause__ or describe_fault(source.path))
        return Input(source.path, Content(UNREADABLE, reason=reason))

"""The faces of a stream of images: several photographs at a time, the frames of films in order."""

from collections.abc import Callable, Iterable, Iterator

from faceemo.inference.ahead import map_ahead
from faceemo.inference.engine.batches import MAX_BATCH
from faceemo.inference.faces import Face, FaceFinder
from faceemo.inference.film.following import FaceFollower
from faceemo.inference.loaded_image import LoadedImage

# Pixels of the images that wait for a batch to fill, or for threads to search them: 67 MB, as each
# pixel takes four bytes.
MAX_WAITING_PIXELS = 2**24


def find_in_stream(
    images: Iterable[LoadedImage],
    finder: FaceFinder,
    find: Callable[[LoadedImage], list[Face]],
    *,
    interval: float | None,
    immediate: bool,
) -> Iterator[tuple[LoadedImage, list[Face]]]:
    """Yields images with their faces.

    Args:
        images: The images.
        finder: The finder of faces.
        find: Finds the faces of one image alone.
        interval: Seconds between searches of a film, see `FaceFollower`; None takes each frame as
            an image.
        immediate: Whether each image's faces are yielded before the next image is taken; otherwise
            threads search the next images meanwhile.
    """
    follower = FaceFollower(finder, find, interval or 0.0)

    def is_frame(image: LoadedImage) -> bool:
        return interval is not None and image.film is not None

    def work(image: LoadedImage) -> list[Face]:
        return follower.find(image) if is_frame(image) else find(image)

    if immediate:
        yield from ((image, work(image)) for image in images)
    else:
        yield from map_ahead(
            work, images, weigh=count_pixels, limit=MAX_WAITING_PIXELS, follows=is_frame
        )


def gather_faces(
    found_in: Iterable[tuple[LoadedImage, list[Face]]], *, immediate: bool
) -> Iterator[list[tuple[LoadedImage, list[Face]]]]:
    """Gathers images with their faces until these fill a batch, or the images much memory.

    Args:
        found_in: The images with their faces.
        immediate: Whether each image is yielded alone.
    """
    waiting: list[tuple[LoadedImage, list[Face]]] = []
    for image, found in found_in:
        waiting.append((image, found))
        faces = sum(len(found) for _, found in waiting)
        pixels = sum(count_pixels(one) for one, _ in waiting)
        if immediate or faces >= MAX_BATCH or pixels >= MAX_WAITING_PIXELS:
            yield waiting
            waiting = []
    yield waiting


def count_pixels(image: LoadedImage) -> int:
    """Counts the pixels of an image; 0 if it could not be decoded."""
    return image.pixels.grey.size if image.pixels else 0

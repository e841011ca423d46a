"""Predictions on a stream of face crops, of which several are checked and predicted together."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from faceemo.inference.ahead import map_ahead
from faceemo.inference.faces import Face, FaceFinder
from faceemo.inference.finding import MAX_WAITING_PIXELS, count_pixels
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction

Predicted = tuple[LoadedImage, list[Prediction]]

# Crops that the detector and the network see at once. Two threads work on a batch each: with one
# crop a batch both networks took a tenth longer, with 32 that of 112 pixels took a fifth longer,
# as its features no longer fit into the processor's caches.
BATCH = 8


def find_in_crops(images: Sequence[LoadedImage], finder: FaceFinder) -> list[list[Face]]:
    """Checks images that are face crops, all of them together.

    Args:
        images: The images.
        finder: The finder, which checks them.

    Returns:
        For each image its face; none if it turns out to be none, or the image was not decoded.
    """
    decoded = [image.pixels for image in images if image.pixels is not None]
    checked = iter(finder.check_whole(decoded))
    return [
        []
        if image.pixels is None
        else [face.scale(image.pixels.reduction) for face in next(checked)]
        for image in images
    ]


def predict_crops(
    images: Iterable[LoadedImage],
    finder: FaceFinder,
    predict: Callable[[Sequence[tuple[LoadedImage, list[Face]]]], Iterable[Predicted]],
) -> Iterator[Predicted]:
    """Yields images that are face crops with their predictions, in their order.

    Threads check some crops and predict on them, while the caller's thread reads the next.

    Args:
        images: The images.
        finder: The finder, which checks them.
        predict: Predicts on the faces of several images.
    """

    def work(batch: list[LoadedImage]) -> list[Predicted]:
        return list(predict(list(zip(batch, find_in_crops(batch, finder), strict=True))))

    ahead = map_ahead(
        work,
        _split(images),
        weigh=lambda batch: sum(map(count_pixels, batch)),
        limit=MAX_WAITING_PIXELS,
        follows=lambda _: False,
    )
    for _, predicted in ahead:
        yield from predicted


def _split(images: Iterable[LoadedImage]) -> Iterator[list[LoadedImage]]:
    """Splits images into batches, of fewer images where these are large."""
    batch: list[LoadedImage] = []
    for image in images:
        batch.append(image)
        if len(batch) == BATCH or sum(map(count_pixels, batch)) > MAX_WAITING_PIXELS // BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

"""Bounds on one request, and on all requests together."""

import dataclasses

_FORM_OVERHEAD = 16 * 2**10  # bytes of a form beside its files
# Largest size of several images together, in files of the largest size.
_FILES_TOGETHER = 4


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds that are checked before the work that they limit begins.

    Attributes:
        max_bytes: Size of an uploaded file.
        max_pixels: Pixels of an image, by its header. Decoding holds it in memory eight times.
        max_files: Number of images in one request.
        max_film_bytes: Size of an uploaded film.
        max_films: Number of films that are kept: waiting, processed, or done and not deleted yet.
        upload_timeout: Seconds within which a request has to arrive.
        response_timeout: Seconds from its arrival within which each of its images has to be
            answered.
        film_timeout: Seconds within which a film has to arrive.
        max_requests: Number of requests that are being received, waiting or processed at the same
            time, each of which may hold an image in memory. Further ones are refused as busy.
    """

    max_bytes: int = 25 * 2**20
    max_pixels: int = 25_000_000
    max_files: int = 32
    max_film_bytes: int = 200 * 2**20
    max_films: int = 8
    upload_timeout: float = 60.0
    response_timeout: float = 60.0
    film_timeout: float = 600.0
    max_requests: int = 32

    def max_form_bytes(self, files: int) -> int:
        """Returns the largest size of a form with so many images, bytes."""
        return min(files, _FILES_TOGETHER) * self.max_bytes + _FORM_OVERHEAD

"""Bounds on one request, and on all requests together."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds that are checked before the work that they limit begins.

    Attributes:
        max_bytes: Size of an uploaded file.
        max_pixels: Pixels of an image, by its header. Decoding holds it in memory eight times.
        upload_timeout: Seconds within which a request has to arrive.
        response_timeout: Seconds from its arrival within which it has to be answered.
        max_requests: Number of requests that are being received, waiting or processed at the same
            time, each of which may hold an image in memory. Further ones are refused as busy.
    """

    max_bytes: int = 10 * 2**20
    max_pixels: int = 25_000_000
    upload_timeout: float = 30.0
    response_timeout: float = 30.0
    max_requests: int = 32

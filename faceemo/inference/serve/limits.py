"""How much one request, and all of them together, may ask of the server."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """All are checked before the work that they bound is begun.

    Attributes:
        bytes: of an uploaded picture.
        pixels: of a picture, by its header. One stands in memory eight times while it is decoded.
        upload_seconds: in which a request has to arrive.
        answer_seconds: in which it has to be answered from then on.
        places: requests that are received, wait or are answered, each of which may hold a picture
            in memory; who comes then is asked to come back.
    """

    bytes: int = 10 * 2**20
    pixels: int = 25_000_000
    upload_seconds: float = 30.0
    answer_seconds: float = 30.0
    places: int = 32

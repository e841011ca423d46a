"""Objects that only one thread may use at a time, lent to threads in turn."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lender(Generic[Item]):
    """A stock of equal items, each of which is lent to one thread at a time.

    OpenCV's networks are such items: a network that two threads run at once returns detections
    that are in neither image, without an error.

    Args:
        make: Makes an item; it is called when all existing ones are lent.
        limit: Maximum number of items. Further threads wait until one comes back.
    """

    def __init__(self, make: Callable[[], Item], limit: int):
        self._make = make
        self._idle: list[Item] = []
        self._places = threading.Semaphore(limit)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lend(self) -> Iterator[Item]:
        """Lends an item for the duration of the context."""
        with self._places:
            with self._lock:
                item = self._idle.pop() if self._idle else None
            item = self._make() if item is None else item
            try:
                yield item
            finally:
                with self._lock:
                    self._idle.append(item)

"""Work on the next images by threads, while the results for the ones before are used."""

import collections
import contextlib
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Images that are worked on at once. One leaves cores idle while it is prepared and finished, and
# three take no less time than two.
THREADS = 2


def map_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    weigh: Callable[[Item], int],
    limit: int,
    follows: Callable[[Item], bool],
) -> Generator[tuple[Item, Result], None, None]:
    """Yields items with the results of work on them, in their order.

    Items are taken in the thread of the caller, some of them before the results of those before are
    yielded. If the iterator is closed, work that was not begun is not begun any more.

    Args:
        work: The work, which threads may do at once.
        items: The items.
        weigh: Returns the weight of an item.
        limit: The weight of the items that wait; a heavier one waits alone.
        follows: Whether the work on an item must wait until that on all earlier ones of this kind
            is done.

    Raises:
        Exception: What `work` or `items` raises, after the results before it.
    """
    waiting: collections.deque[tuple[Item, Future[Result]]] = collections.deque()
    with contextlib.ExitStack() as stack:
        # their threads are started when they are needed
        pool = stack.enter_context(ThreadPoolExecutor(THREADS, "faceemo-ahead"))
        queue = stack.enter_context(ThreadPoolExecutor(1, "faceemo-queue"))
        stack.callback(lambda: [future.cancel() for _, future in waiting])
        for item in items:
            waiting.append((item, (queue if follows(item) else pool).submit(work, item)))
            while len(waiting) > THREADS or sum(weigh(one) for one, _ in waiting) > limit:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()

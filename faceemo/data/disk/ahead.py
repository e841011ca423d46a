"""Batches of images read ahead by Grain: in threads of this process, or in worker processes.

Which images a batch holds is decided elsewhere, and nothing is random here: any number of threads
and workers gives the same batches in the same order, from any batch on.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from faceemo.data.disk.stored_images import Images, StoredImages, take
from faceemo.errors import UserError

# Bytes of batches that wait to be used, in each process, and the most threads that fill them.
_WAITING = 2**26
_MAX_THREADS = 8

_T = TypeVar("_T")


def read(images: Images, rows: Sequence[np.ndarray], workers: int = 0) -> Iterator[np.ndarray]:
    """Yields `take(images, rows[k])` for every k; images on disk are read ahead.

    Args:
        images: The images of a split, in memory or on disk.
        rows: Positions of the images of each batch. With workers it has to be picklable.
        workers: Number of processes that read images from disk; with 0, threads do.

    Raises:
        UserError: If a file is missing or damaged, or a worker was killed.
    """
    if not isinstance(images, StoredImages):
        yield from (take(images, batch) for batch in rows)
        return
    size = int(rows[0].size * np.prod(images.shape[1:])) if len(rows) else 1
    yield from compute_ahead(_Take(images, rows), len(rows), size, workers)


class _Take:
    """Takes the images of a batch by its number."""

    def __init__(self, images: StoredImages, rows: Sequence[np.ndarray]):
        self._images, self._rows = images, rows

    def __call__(self, number: int) -> np.ndarray:
        return self._images.take(self._rows[int(number)])


def compute_ahead(
    function: Callable[[int], _T], count: int, size: int, workers: int = 0
) -> Iterator[_T]:
    """Yields function(0) to function(count - 1) in this order, computed ahead.

    Args:
        function: A pure function. With workers it has to be picklable.
        count: Number of results.
        size: About the bytes of one result.
        workers: Number of processes that compute; with 0, threads of this process do.

    Raises:
        UserError: If a worker was killed.
    """
    import grain  # which takes half a second
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # with their defaults, which Grain reads
    waiting = max(2, min(2 * _MAX_THREADS, _WAITING // max(size, 1)))
    threads = min(_count_processors(), _MAX_THREADS, waiting)
    if workers:
        # Several workers already fill the processors.
        threads, waiting = max(1, threads // workers), max(2, waiting // workers)
    results: Any = (
        grain.MapDataset.range(count)
        .map(function)
        .to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=waiting))
    )
    if workers:
        # By pipes alone: containers have little shared memory, and a kill would leave some of it.
        pipes = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
        results = grain.experimental.WithOptionsIterDataset(results, pipes)
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        results = results.mp_prefetch(options, worker_init_fn=_prepare_worker)
    iterator = iter(results)
    try:
        yield from iterator
    except RuntimeError as error:
        if "Worker process was terminated" not in str(error):
            raise
        raise UserError(
            expected="worker processes that read images until they are stopped",
            found=f"one that was killed ({str(error).split('. ')[0]}), as a system does that runs "
            "out of memory",
            fix="give fewer data_workers (0 reads in threads), and start the same command again, "
            "which continues the run",
        ) from error
    finally:
        iterator.close()


def _count_processors() -> int:
    """Counts the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare_worker(number: int, workers: int) -> None:
    """Leaves signals to the main process, which stops its workers itself, and ends with it."""
    del number, workers
    import multiprocessing

    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        # Grain's workers would wait forever for a main process that was killed.
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()

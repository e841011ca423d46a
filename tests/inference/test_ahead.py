"""Work ahead by threads: order, limits, failures, and the end."""

import threading
import time

import pytest

from faceemo.inference.ahead import THREADS, map_ahead


def run(work, items, *, limit=1000, weigh=lambda item: 1, follows=lambda item: False):
    return map_ahead(work, items, weigh=weigh, limit=limit, follows=follows)


def test_results_come_in_the_order_of_the_items_however_long_each_takes():
    seconds = [0.05, 0.0, 0.03, 0.0, 0.02, 0.01, 0.0]

    def work(item):
        time.sleep(seconds[item])
        return -item

    assert list(run(work, range(7))) == [(item, -item) for item in range(7)]
    assert list(run(work, [])) == []


def test_items_are_worked_on_at_once():
    both = threading.Barrier(THREADS, timeout=20)
    assert len(list(run(lambda item: both.wait(), range(2 * THREADS)))) == 2 * THREADS


def test_what_follows_is_worked_on_in_order_and_alone():
    running, log = threading.Lock(), []

    def work(item):
        assert running.acquire(blocking=False), "two at once"
        time.sleep(0.001 * (item % 3))
        log.append(item)
        running.release()

    list(run(work, range(20), follows=lambda item: True))
    assert log == list(range(20))


@pytest.mark.parametrize(("limit", "most"), [(1000, THREADS + 1), (2, 3), (0, 1)])
def test_few_items_wait(limit, most):
    taken = []

    def items():
        for item in range(12):
            taken.append(item)
            yield item

    waiting = [len(taken) - item for item, _ in run(lambda item: item, items(), limit=limit)]
    assert max(waiting) == most


def test_a_failure_is_raised_after_the_results_before_it_and_ends_the_work():
    begun, found = [], []

    def work(item):
        begun.append(item)
        if item == 3:
            raise ValueError("the fourth")
        return item

    with pytest.raises(ValueError, match="the fourth"):
        for item, _ in run(work, range(100)):
            found.append(item)
    assert found == [0, 1, 2]
    assert len(begun) <= 4 + THREADS


def test_closing_leaves_no_thread_and_begins_no_work():
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.05)

    results = run(work, range(100), follows=lambda item: True)
    next(results)
    results.close()
    assert len(begun) <= 2
    own = ("faceemo-ahead", "faceemo-queue")  # other tests may have left a server's threads
    assert not [one for one in threading.enumerate() if one.name.startswith(own)]

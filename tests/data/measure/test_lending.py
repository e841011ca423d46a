"""Lending of objects that only one thread may use at a time."""

import concurrent.futures
import threading

import pytest

from faceemo.data.measure.lending import Lender


def test_threads_never_hold_the_same_item_and_never_more_than_the_limit():
    made, held = [], []

    def make():
        made.append(object())
        return made[-1]

    lender = Lender(make, 3)
    barrier = threading.Barrier(3)  # three threads hold an item each, at the same time

    def work(_):
        with lender.lend() as item:
            held.append(item)
            assert held.count(item) == 1
            assert len(held) <= 3
            barrier.wait(10)
            held.remove(item)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    assert len(made) == 3


def test_an_item_comes_back_after_an_error():
    lender = Lender(object, 1)
    with pytest.raises(ZeroDivisionError), lender.lend() as first:
        raise ZeroDivisionError
    with lender.lend() as second:
        assert second is first

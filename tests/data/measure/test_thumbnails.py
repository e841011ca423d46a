"""Squares in a file: each made once, also by threads at once and after a kill."""

import concurrent.futures
import contextlib
import hashlib

import numpy as np
import pytest

from faceemo.data.measure import thumbnails

RNG = np.random.default_rng(0)
SQUARES = {
    hashlib.sha256(bytes([number])).hexdigest(): RNG.integers(0, 256, (48, 48), np.uint8)
    for number in range(20)
}


def fail():
    raise AssertionError("made again")


def check(squares, keys):
    for key in keys:
        assert key in squares
        np.testing.assert_array_equal(squares.get(key, fail), SQUARES[key])


@pytest.mark.parametrize("named", [True, False])
def test_a_square_is_made_once(tmp_path, named):
    squares = thumbnails.Thumbnails(tmp_path / "file" if named else None)
    with contextlib.closing(squares), concurrent.futures.ThreadPoolExecutor(4) as pool:
        for key in SQUARES:
            assert key not in squares
        made = pool.map(lambda key: squares.get(key, lambda: SQUARES[key]), list(SQUARES) * 3)
        for key, square in zip(list(SQUARES) * 3, made, strict=True):
            np.testing.assert_array_equal(square, SQUARES[key])
        check(squares, SQUARES)


@pytest.mark.parametrize("lost", [0, 1, 2304, 2336, 3000])
def test_whole_squares_survive_a_kill(tmp_path, lost):
    path = tmp_path / "file"
    with contextlib.closing(thumbnails.Thumbnails(path)) as squares:
        for key, square in SQUARES.items():
            squares.get(key, lambda square=square: square)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - lost])
    whole = len(SQUARES) - -(-lost // (32 + 48 * 48))
    for _ in range(2):  # what is added after the kill is found again, too
        with contextlib.closing(thumbnails.Thumbnails(path)) as squares:
            check(squares, list(SQUARES)[:whole])
            for key in list(SQUARES)[whole:]:
                squares.get(key, lambda key=key: SQUARES[key])
            check(squares, SQUARES)
        whole = len(SQUARES)
    assert path.read_bytes() == content

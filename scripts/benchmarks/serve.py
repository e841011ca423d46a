"""Throughput and latency of `faceemo serve` under load.

Starts a server for the run. Clients on the same machine, which share its cores, each send one image
after the other over a persistent connection. The exit code is 1 if a request fails.
"""

import argparse
import contextlib
import http.client
import io
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.sample.draw_face import draw_face
from faceemo.errors import UserError
from faceemo.inference.inputs import find_images

from . import timing

_BOUNDARY = "faceemo-benchmark"
_WARM_UP = 5.0  # untimed seconds in which the server compiles programs for larger batches
_TIMEOUT = 120.0  # seconds for one response
_DRAWN_FACES = 64  # sent if there are no images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py serve`."""
    parser.add_argument("run", type=Path, help="folder of the trained run")
    parser.add_argument("--images", type=Path, help="folder of images (default: drawn faces)")
    parser.add_argument(
        "--crops", action="store_true", help="the images are face crops: run no detector"
    )
    parser.add_argument(
        "--clients", nargs="+", type=int, default=[1, 16], help="concurrent clients"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="length of a round, seconds (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")


class _Client(threading.Thread):
    """Sends requests until a given time.

    Attributes:
        seconds: Latency of each response.
        faces: Number of faces in all responses.
        errors: Messages of failed requests.
    """

    def __init__(self, address: str, path: str, bodies: Sequence[bytes], first: int, end: float):
        super().__init__()
        self._address, self._path, self._end = address, path, end
        self._bodies = itertools.islice(itertools.cycle(bodies), first, None)
        self.seconds: list[float] = []
        self.faces = 0
        self.errors: list[str] = []

    def run(self) -> None:
        """Sends the requests."""
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            while time.perf_counter() < self._end:
                start = time.perf_counter()
                try:
                    response = _post(connection, self._path, next(self._bodies))
                    self.faces += len(response["faces"])
                    self.seconds.append(time.perf_counter() - start)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    connection.close()
                    self.errors.append(f"{type(error).__name__}: {error}")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints a line for each number of clients.

    Raises:
        UserError: If the server does not start.
    """
    bodies = [_make_form(content) for content in _read_images(options.images)]
    path = f"/api/predict?crops={options.crops}".lower()
    errors: list[str] = []
    with _start_server(options.run) as address:
        kind = f"images of {options.images}" if options.images else "drawn faces, 48 pixels"
        print(
            f"{len(bodies)} {kind}{', as crops' if options.crops else ''}; {options.rounds} rounds "
            f"of {options.seconds:g} s; faces/s: median (smallest to largest)"
        )
        for count in options.clients:
            _send_requests(address, path, bodies, count, _WARM_UP)
            rates, seconds, failed = [], [], []
            for _ in range(options.rounds):
                start = time.perf_counter()
                clients = _send_requests(address, path, bodies, count, options.seconds)
                elapsed = time.perf_counter() - start
                rates.append(sum(one.faces for one in clients) / elapsed)
                seconds += [value for one in clients for value in one.seconds]
                failed += [message for one in clients for message in one.errors]
            middle, low, high = timing.median_and_range(rates)
            p50, p99 = 1000 * np.percentile(seconds or [float("nan")], [50, 99])
            print(
                f"  {count:>3} clients  {middle:8.1f} faces/s ({low:.1f} to {high:.1f}), "
                f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(seconds):,} responses, "
                f"{len(failed)} errors"
            )
            errors += failed
    if errors:
        print(*sorted(set(errors))[:5], sep="\n", file=sys.stderr)
        raise SystemExit(1)


def _send_requests(
    address: str, path: str, bodies: Sequence[bytes], count: int, seconds: float
) -> list[_Client]:
    """Runs `count` concurrent clients for some seconds; each starts with a different image."""
    end = time.perf_counter() + seconds
    clients = [
        _Client(address, path, bodies, index * len(bodies) // count, end) for index in range(count)
    ]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return clients


@contextlib.contextmanager
def _start_server(folder: Path) -> Iterator[str]:
    """Starts a server in its own process and yields its host and port."""
    command = [sys.executable, "-m", "faceemo", "serve", str(folder)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        # '... at http://127.0.0.1:4711/ (Ctrl-C stops it)'
        words = process.stdout.readline().split()
        address = next((word for word in words if word.startswith("http://")), None)
        if address is None:
            raise UserError(
                expected=f"`faceemo serve {folder}` to start",
                found="that it ended",
                fix="see its message above",
            )
        print(f"the server was ready {time.perf_counter() - start:.1f} s after its start")
        yield urllib.parse.urlsplit(address).netloc
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> dict:
    """Sends one request and returns the JSON of the response.

    Raises:
        ValueError: If the status is not 200.
    """
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status != http.HTTPStatus.OK:
        raise ValueError(f"{response.status} {text[:300]!r}")
    return json.loads(text)


def _read_images(folder: Path | None) -> list[bytes]:
    if folder:
        return [path.read_bytes() for path in find_images([folder])]
    return [_draw_jpeg(seed) for seed in range(_DRAWN_FACES)]


def _draw_jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    drawing = draw_face(np.random.default_rng(seed), CLASSES[seed % len(CLASSES)])
    Image.fromarray(drawing).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _make_form(content: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="face.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()

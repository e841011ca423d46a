"""The server of `faceemo serve` under load: faces a second, how long one waits, and no errors.

A server of its own is started on the run. Clients on this machine, so on the same cores, each send
one picture after the other over a connection that stays. Exit code 1: one was not answered.
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
from faceemo.inference.images import files_below

from . import timing

_BOUNDARY = "faceemo-benchmark"
_WARM = 5.0  # seconds that are not measured: the server compiles programs for larger batches
_TIMEOUT = 120.0  # seconds for one answer
_FACES = 64  # drawn, if there are no images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py serve`."""
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--images", type=Path, help="folder of pictures; drawn faces without")
    parser.add_argument("--crops", action="store_true", help="they are faces: search none")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 16], help="at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)


class _Client(threading.Thread):
    """Asks until a time; keeps the seconds that each answer took, faces and errors."""

    def __init__(self, address: str, path: str, bodies: Sequence[bytes], first: int, end: float):
        super().__init__()
        self._address, self._path, self._end = address, path, end
        self._bodies = itertools.islice(itertools.cycle(bodies), first, None)
        self.seconds: list[float] = []
        self.faces = 0
        self.errors: list[str] = []

    def run(self) -> None:
        """Until the end."""
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            while time.perf_counter() < self._end:
                start = time.perf_counter()
                try:
                    answer = _asked(connection, self._path, next(self._bodies))
                    self.faces += len(answer["faces"])
                    self.seconds.append(time.perf_counter() - start)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    connection.close()
                    self.errors.append(f"{type(error).__name__}: {error}")


def run(options: argparse.Namespace) -> None:
    """Prints a line for each number of clients.

    Raises:
        UserError: if the server does not start.
    """
    contents = _contents(options.images)
    bodies = [_form(content) for content in contents]
    path = f"/api/predict?crops={options.crops}".lower()
    errors: list[str] = []
    with _serving(options.run) as address:
        what = f"pictures of {options.images}" if options.images else "drawn faces, 48 pixels"
        print(
            f"{len(bodies)} {what}{', as crops' if options.crops else ''}; {options.rounds} rounds "
            f"of {options.seconds:g} s; faces/s: median (smallest to largest)"
        )
        for count in options.clients:
            _load(address, path, bodies, count, _WARM)
            rates, seconds, failed = [], [], []
            for _ in range(options.rounds):
                start = time.perf_counter()
                clients = _load(address, path, bodies, count, options.seconds)
                took = time.perf_counter() - start
                rates.append(sum(one.faces for one in clients) / took)
                seconds += [value for one in clients for value in one.seconds]
                failed += [message for one in clients for message in one.errors]
            middle, low, high = timing.spread(rates)
            p50, p99 = 1000 * np.percentile(seconds or [float("nan")], [50, 99])
            print(
                f"  {count:>3} clients  {middle:8.1f} faces/s ({low:.1f} to {high:.1f}), "
                f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(seconds):,} answers, "
                f"{len(failed)} errors"
            )
            errors += failed
    if errors:
        print(*sorted(set(errors))[:5], sep="\n", file=sys.stderr)
        raise SystemExit(1)


def _load(
    address: str, path: str, bodies: Sequence[bytes], count: int, seconds: float
) -> list[_Client]:
    """So many clients at once for a while; they begin with different pictures."""
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
def _serving(folder: Path) -> Iterator[str]:
    """Host and port of a server in a process of its own."""
    command = [sys.executable, "-m", "faceemo.inference.cli", "serve", str(folder)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        # '... at http://127.0.0.1:4711/ (Ctrl-C ends it)'
        words = process.stdout.readline().split()
        address = next((word for word in words if word.startswith("http://")), None)
        if address is None:
            raise UserError(
                expected="a server that starts",
                found="one that ended",
                fix="see its message above",
            )
        print(f"ready {time.perf_counter() - start:.1f} s after its start")
        yield urllib.parse.urlsplit(address).netloc
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _asked(connection: http.client.HTTPConnection, path: str, body: bytes) -> dict:
    """One answer.

    Raises:
        ValueError: if it is a refusal.
    """
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(f"{answer.status} {text[:300]!r}")
    return json.loads(text)


def _contents(folder: Path | None) -> list[bytes]:
    if folder:
        return [path.read_bytes() for path in files_below(folder)]
    return [_drawn(seed) for seed in range(_FACES)]


def _drawn(seed: int) -> bytes:
    stream = io.BytesIO()
    drawing = draw_face(np.random.default_rng(seed), CLASSES[seed % len(CLASSES)])
    Image.fromarray(drawing).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _form(content: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="face.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()

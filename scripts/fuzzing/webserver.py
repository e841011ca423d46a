"""The real server on a real connection, asked one request at a time, however damaged."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h11

from faceemo.inference.predictor import Predictor
from faceemo.inference.serve import server
from faceemo.inference.serve.app import make_app
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.worker import Worker

# What a request may be answered; 503 is no answer, for nobody else asks.
_ALLOWED = {200, 400, 403, 404, 405, 408, 413, 415, 421, 422}
_LONG = 600.0  # seconds of the clock, far beyond what a busy machine needs for an answer
_HEALTH = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PAUSE = 0.002  # seconds between two questions whether the server is done


class Webserver:
    """A server in a thread of this process."""

    def __init__(self, predictor: Predictor):
        limits = Limits(upload_timeout=_LONG, response_timeout=_LONG)
        self._place = server.bind_socket("127.0.0.1", 0)
        worker = Worker(predictor, limits)
        worker.warm_up()
        app = make_app(predictor, limits, worker=worker)
        running = server.make_server(app, limits.max_requests, log_level="critical")
        threading.Thread(target=running.run, kwargs={"sockets": [self._place]}, daemon=True).start()
        # What it compiles while nobody asks would count as the first inputs' time.
        while not running.started or worker.is_compiling:
            time.sleep(_PAUSE)

    def outcome(self, path: Path) -> str:
        """What the request in a file leads to.

        Raises:
            AssertionError: if it is answered otherwise than it may be, or not at all though it is
                whole, or still holds a place after its end.
        """
        request = path.read_bytes()
        method, due = _is_due(request)
        with self._connected(request) as connection:
            if not due:
                found = "broken off"
            else:
                status, body = _response(connection, method)
                assert status in _ALLOWED, (status, body[:300])
                found = f"answered {status}"
                if status == 200 and method == "POST":
                    found += f", {json.loads(body)['status']}"
                elif status != 200 and body.startswith(b"{"):
                    found += f", {json.loads(body)['error']}"
        self._wait_until_free()
        return found

    def _wait_until_free(self) -> None:
        """Until no request holds a place, whatever became of its client."""
        inside = 1
        while inside:
            with self._connected(_HEALTH) as connection:
                status, body = _response(connection, "GET")
            assert status == 200, body[:300]
            inside = json.loads(body)["requests"]
            time.sleep(_PAUSE if inside else 0)

    @contextlib.contextmanager
    def _connected(self, request: bytes) -> Iterator[socket.socket]:
        with socket.create_connection(self._place.getsockname(), timeout=_LONG) as connection:
            with contextlib.suppress(ConnectionError):  # the answer may come before the end
                connection.sendall(request)
            yield connection


def _is_due(request: bytes) -> tuple[str, bool]:
    """Its method, and whether it is whole, or wrong already, so that an answer must come."""
    reader = h11.Connection(h11.SERVER)
    method = "GET"
    try:
        reader.receive_data(request)
        while isinstance(event := reader.next_event(), h11.Request | h11.Data):
            if isinstance(event, h11.Request):
                method = event.method.decode()
    except h11.RemoteProtocolError:
        return method, True
    return method, isinstance(event, h11.EndOfMessage)


def _response(connection: socket.socket, method: str) -> tuple[int, bytes]:
    """Status and body."""
    reader = h11.Connection(h11.CLIENT)
    # so that it knows what to expect: HEAD has no body
    sent = h11.Request(method=method, target="/", headers=[("Host", "localhost")])
    reader.send(sent)
    status, body = 0, b""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            with contextlib.suppress(ConnectionResetError):
                reader.receive_data(connection.recv(2**16))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return status, body

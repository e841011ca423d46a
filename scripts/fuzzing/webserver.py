"""The real server, to which raw bytes are sent over a real connection."""

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

# Allowed response status codes. 503 (busy) is not one: there is only one client.
_ALLOWED_STATUSES = {200, 400, 403, 404, 405, 408, 413, 415, 421, 422}
_TIMEOUT = 600.0  # seconds, far more than a busy machine needs for a response
_HEALTH_REQUEST = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_POLL_SECONDS = 0.002


class Webserver:
    """A running server, in a thread of this process."""

    def __init__(self, predictor: Predictor):
        # Without films, which are answered long after their requests.
        limits = Limits(upload_timeout=_TIMEOUT, response_timeout=_TIMEOUT, max_film_bytes=0)
        self._socket = server.bind_socket("127.0.0.1", 0)
        worker = Worker(predictor, limits)
        worker.warm_up()
        app = make_app(predictor, limits, worker=worker)
        running = server.make_server(app, limits.max_requests, log_level="critical")
        threading.Thread(
            target=running.run, kwargs={"sockets": [self._socket]}, daemon=True
        ).start()
        # Compilation would otherwise count as time of the first inputs.
        while not running.started or worker.is_compiling:
            time.sleep(_POLL_SECONDS)

    def send(self, path: Path) -> tuple[str, float]:
        """Sends the request in a file; returns the outcome and the image's megapixels.

        Raises:
            AssertionError: If the status is not an allowed one.
            TimeoutError: If there is no response although the request is complete.
        """
        request = path.read_bytes()
        method, expects_response = _parse_request(request)
        megapixels = 0.0
        with self._connect(request) as connection:
            if not expects_response:
                outcome = "incomplete"
            else:
                status, body = _read_response(connection, method)
                assert status in _ALLOWED_STATUSES, (status, body[:300])
                outcome = f"status {status}"
                if status == 200 and method == "POST" and body.startswith(b"{"):
                    predicted = json.loads(body)
                    for image in predicted.get("images", [predicted]):
                        outcome += f", {image['status']}"
                        megapixels += (image["width"] or 0) * (image["height"] or 0) / 1e6
                elif status != 200 and body.startswith(b"{"):
                    outcome += f", {json.loads(body)['error']}"
        self._wait_until_free()
        return outcome, megapixels

    def _wait_until_free(self) -> None:
        """Waits until the server has finished all requests, also those of clients that left."""
        requests = 1
        while requests:
            with self._connect(_HEALTH_REQUEST) as connection:
                status, body = _read_response(connection, "GET")
            assert status == 200, body[:300]
            requests = json.loads(body)["requests"]
            time.sleep(_POLL_SECONDS if requests else 0)

    @contextlib.contextmanager
    def _connect(self, request: bytes) -> Iterator[socket.socket]:
        with socket.create_connection(self._socket.getsockname(), timeout=_TIMEOUT) as connection:
            with contextlib.suppress(
                ConnectionError
            ):  # the server may respond before it has read all
                connection.sendall(request)
            yield connection


def _parse_request(request: bytes) -> tuple[str, bool]:
    """Returns the method, and whether a response must come: the request is complete or invalid."""
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


def _read_response(connection: socket.socket, method: str) -> tuple[int, bytes]:
    """Reads a response and returns its status and body."""
    reader = h11.Connection(h11.CLIENT)
    # The parser must know the method, because a response to HEAD has no body.
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

"""The server on a real socket: allowed hosts, timeouts, and the files that it opens."""

import contextlib
import http.client
import json
import socket
import sys
import threading
import time
import urllib.parse

import pytest

from faceemo.errors import UserError
from faceemo.inference.serve import server
from faceemo.inference.serve.middleware import LOOPBACK_HOSTS, SecurityMiddleware
from faceemo.inference.serve.timeouts import TimeoutProtocol
from tests.support.inference.asking import open_api
from tests.support.inference.serving import serve_app

TIMEOUT = 60  # seconds; far more than the events that tests wait for take
REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def make_app(size):
    """Makes an app whose responses have a body of `size` bytes."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(size)})

    return app


def get(url, path="/", **headers):
    """Sends a GET request; returns status, headers and body."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@contextlib.contextmanager
def connect(url, **options):
    """Opens a connection with socket options, such as SO_RCVBUF=4096."""
    parts = urllib.parse.urlsplit(url)
    with socket.socket() as connection:
        for name, value in options.items():
            connection.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        connection.settimeout(TIMEOUT)
        connection.connect((parts.hostname, parts.port))
        yield connection


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "0.0.0.0", "::", socket.gethostname()]
)
@pytest.mark.parametrize("added", [[], ["demo.example"]])
def test_the_printed_url_works(host, added):
    try:
        bound = server.bind_socket(host, 0)
    except UserError as error:
        raise pytest.skip.Exception(str(error)) from error
    allowed_hosts, allow_ip_hosts = server.find_allowed_hosts(bound, host, added)
    with serve_app(
        SecurityMiddleware(make_app(9), allowed_hosts, allow_ip_hosts=allow_ip_hosts), bound
    ) as address:
        port = urllib.parse.urlsplit(address).port
        assert get(address)[0] == 200
        hosts = {host if ":" not in host else f"[{host}]": 200, "evil.example": 421}
        hosts |= {"localhost": 200, "demo.example": 200 if added else 421}
        if not server.is_loopback(bound):
            hosts |= {"192.0.2.7": 421 if added else 200}
        for name, status in hosts.items():
            assert get(address, Host=f"{name}:{port}")[0] == status, name


@pytest.mark.parametrize(("requests", "size"), [(2000, 2**20), (1, 48 * 2**10)])
def test_a_client_that_does_not_read_is_disconnected(monkeypatch, requests, size):
    """Either while the server waits to send more, or when it closes with a little left to send."""
    ended = threading.Event()
    connection_lost = TimeoutProtocol.connection_lost
    monkeypatch.setattr(TimeoutProtocol, "header_timeout", 0.3)
    monkeypatch.setattr(TimeoutProtocol, "write_timeout", 0.3)
    monkeypatch.setattr(
        TimeoutProtocol, "connection_lost", lambda *args: (ended.set(), connection_lost(*args))
    )
    bound = server.bind_socket("127.0.0.1", 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of each connection
    app = SecurityMiddleware(make_app(size), LOOPBACK_HOSTS)
    with serve_app(app, bound) as address, connect(address, SO_RCVBUF=4096) as connection:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.sendall(REQUEST % b"/" * requests)
        assert ended.wait(TIMEOUT), "the connection is still open"


def test_a_client_that_reads_slowly_gets_everything(monkeypatch):
    monkeypatch.setattr(TimeoutProtocol, "header_timeout", 0.2)
    app = SecurityMiddleware(make_app(2**23), LOOPBACK_HOSTS)
    with serve_app(app) as address, connect(address, SO_RCVBUF=4096) as connection:
        connection.sendall(REQUEST % b"/")
        received = 0
        while chunk := connection.recv(2**14):
            received += len(chunk)
            time.sleep(0.001)
        assert received > 2**23


def test_too_many_connections_get_an_error_of_the_api(predictor):
    with open_api(predictor) as api, serve_app(api.app, max_requests=1) as address:
        with contextlib.ExitStack() as stack:
            for _ in range(server._CONNECTIONS_PER_REQUEST):
                connection = stack.enter_context(connect(address))
                connection.sendall(REQUEST % b"/api/health")
                assert b" 200 " in connection.recv(2**16)
            status, headers, body = get(address, "/api/health")
            assert status == 503
            assert json.loads(body)["error"] == "busy"
            assert int(headers["Retry-After"]) > 0
            assert "default-src 'none'" in headers["Content-Security-Policy"]
        end = time.monotonic() + TIMEOUT
        while get(address, "/api/health")[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.05)


OPENED_FILES = None  # a list while opened files are recorded


def _record_open(event, arguments):
    if event == "open" and OPENED_FILES is not None:
        OPENED_FILES.append(arguments[0])


@pytest.fixture(scope="module")
def send_raw(predictor):
    """Yields a function that sends bytes and returns the response and all files opened for it."""
    global OPENED_FILES
    sys.addaudithook(_record_open)  # sees every open of this interpreter; cannot be removed
    with open_api(predictor) as api, serve_app(api.app) as address:

        def send(request):
            with connect(address) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(2**16), b""))

        def send_and_record(request):
            global OPENED_FILES
            send(request)  # so that late imports are done
            OPENED_FILES = []
            try:
                return send(request), list(OPENED_FILES)
            finally:
                OPENED_FILES = None

        yield send_and_record


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.py",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/examples/../../app.py",
        "/examples/%2e%2e%2f%2e%2e%2fapp.py",
        "/examples/..%5c..%5capp.py",
        "/examples/happy.png/../../server.py",
        "/page/index.html.j2",
        "/index.html.j2",
        "/app.py",
        "//etc/passwd",
        "/examples/",
        "/static/../app.py",
        "/%00",
        "http://localhost/etc/passwd",
    ],
)
def test_no_other_file_is_read(send_raw, path):
    """Sent as raw bytes, as HTTP libraries normalise a path before they send it."""
    response, opened = send_raw(REQUEST % path.encode())
    assert response.startswith(b"HTTP/1.1 404 ")
    assert b'"no_such_address"' in response
    assert opened == []


def test_opened_files_are_recorded(send_raw, tmp_path):
    global OPENED_FILES
    (tmp_path / "file").touch()
    OPENED_FILES = []
    try:
        (tmp_path / "file").read_bytes()
        assert str(tmp_path / "file") in OPENED_FILES
    finally:
        OPENED_FILES = None


def test_pages_are_sent_without_opening_a_file(send_raw):
    for path in (b"/", b"/demo.js", b"/examples/happy.png"):
        response, opened = send_raw(REQUEST % path)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert opened == []

"""The server on a real socket: by which names it is asked, whom it drops, and what it opens."""

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
from faceemo.inference.serve.middleware import LOOPBACK, Guard
from faceemo.inference.serve.timeouts import Impatient
from tests.support.inference.asking import asking
from tests.support.inference.serving import running

PATIENT = 60  # seconds for what happens at once
REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answering(size):
    """An app that answers so many bytes."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(size)})

    return app


def asked(address, path="/", **headers):
    """The answer to a GET: its status, headers and body."""
    place = urllib.parse.urlsplit(address)
    line = http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENT)
    with contextlib.closing(line):
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()


@contextlib.contextmanager
def connected(address, **options):
    place = urllib.parse.urlsplit(address)
    with socket.socket() as line:
        for name, value in options.items():
            line.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        line.settimeout(PATIENT)
        line.connect((place.hostname, place.port))
        yield line


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "0.0.0.0", "::", socket.gethostname()]
)
@pytest.mark.parametrize("added", [[], ["demo.example"]])
def test_the_address_that_is_printed_answers(host, added):
    try:
        bound = server.listening(host, 0)
    except UserError as error:
        pytest.skip(str(error))
    names, numbers = server.names_of(bound, host, added)
    with running(Guard(answering(9), names, numbers=numbers), bound) as address:
        port = urllib.parse.urlsplit(address).port
        assert asked(address)[0] == 200
        hosts = {host if ":" not in host else f"[{host}]": 200, "evil.example": 421}
        hosts |= {"localhost": 200, "demo.example": 200 if added else 421}
        if not server.is_loopback(bound):
            hosts |= {"192.0.2.7": 421 if added else 200}
        for name, status in hosts.items():
            assert asked(address, Host=f"{name}:{port}")[0] == status, name


@pytest.mark.parametrize(("requests", "size"), [(2000, 2**20), (1, 48 * 2**10)])
def test_who_does_not_read_is_dropped(monkeypatch, requests, size):
    """Whether the server waits to write more answers, or is done with a little left and closes."""
    ended = threading.Event()
    lost = Impatient.connection_lost
    monkeypatch.setattr(Impatient, "seconds", 0.3)
    monkeypatch.setattr(Impatient, "unread_seconds", 0.3)
    monkeypatch.setattr(Impatient, "connection_lost", lambda *given: (ended.set(), lost(*given)))
    bound = server.listening("127.0.0.1", 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of each connection
    app = Guard(answering(size), LOOPBACK)
    with running(app, bound) as address, connected(address, SO_RCVBUF=4096) as line:
        line.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            line.sendall(REQUEST % b"/" * requests)
        assert ended.wait(PATIENT), "the connection is still held"


def test_who_reads_slowly_gets_all(monkeypatch):
    monkeypatch.setattr(Impatient, "seconds", 0.2)
    app = Guard(answering(2**23), LOOPBACK)
    with running(app) as address, connected(address, SO_RCVBUF=4096) as line:
        line.sendall(REQUEST % b"/")
        received = 0
        while piece := line.recv(2**14):
            received += len(piece)
            time.sleep(0.001)
        assert received > 2**23


def test_too_many_connections_are_told_in_the_form_of_the_api(predictor):
    with asking(predictor) as asker, running(asker.app, places=1) as address:
        most = server._CONNECTIONS
        with contextlib.ExitStack() as stack:
            for _ in range(most):
                line = stack.enter_context(connected(address))
                line.sendall(REQUEST % b"/api/health")
                assert b" 200 " in line.recv(2**16)
            status, headers, body = asked(address, "/api/health")
            assert status == 503
            assert json.loads(body)["error"] == "busy"
            assert int(headers["Retry-After"]) > 0
            assert "default-src 'none'" in headers["Content-Security-Policy"]
        end = time.monotonic() + PATIENT
        while asked(address, "/api/health")[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.05)


OPENED = None  # a list while files that are opened are to be told


def _hear(event, arguments):
    if event == "open" and OPENED is not None:
        OPENED.append(arguments[0])


@pytest.fixture(scope="module")
def raw(predictor):
    """Sends bytes and returns the answer and which files were opened meanwhile, however."""
    global OPENED
    sys.addaudithook(_hear)  # of the interpreter itself, whoever opens; it cannot be taken away
    with asking(predictor) as asker, running(asker.app) as address:

        def send(request):
            with connected(address) as line:
                line.sendall(request)
                line.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: line.recv(2**16), b""))

        def watched(request):
            global OPENED
            send(request)  # whatever is imported late is now
            OPENED = []
            try:
                return send(request), list(OPENED)
            finally:
                OPENED = None

        yield watched


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
def test_no_file_of_the_machine_is_read(raw, path):
    """As raw bytes: clients of a library tidy a path up before they send it."""
    answer, opened = raw(REQUEST % path.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"no_such_address"' in answer
    assert opened == []


def test_what_is_opened_would_be_heard(raw, tmp_path):
    global OPENED
    (tmp_path / "file").touch()
    OPENED = []
    try:
        (tmp_path / "file").read_bytes()
        assert str(tmp_path / "file") in OPENED
    finally:
        OPENED = None


def test_a_page_is_answered_without_a_file(raw):
    for path in (b"/", b"/demo.js", b"/examples/happy.png"):
        answer, opened = raw(REQUEST % path)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert opened == []

"""The command `faceemo serve`: its error messages, and a process from its start to Ctrl-C."""

import contextlib
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import urllib.parse

import pytest

from faceemo.commands import cli
from faceemo.inference.serve import server
from tests.support.data.faces import face, jpeg

START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
HEADERS = {"Content-Type": "multipart/form-data; boundary=x"}


def read_error(capsys, *arguments):
    """Runs the command, which must fail with exit code 2, and returns what it wrote to stderr."""
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["serve", "no run is needed", *arguments])
    assert exit_info.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


def test_a_port_in_use_gets_one_message(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = read_error(capsys, "--port", port)
    assert f"expected port {port} of 127.0.0.1" in message
    assert "another --port" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "no such host"], "127.0.0.1"),
        (["--host", "192.0.2.1"], "an address that this machine has"),
        (["--port", "70000"], "65535"),
        (["--max-mib", "0"], "above 0"),
        (["--max-megapixels", "300"], "at most 268"),
        (["--waiting", "0"], "from 1"),
        (["--port", "0"], "run's folder"),
    ],
)
def test_wrong_options_get_one_message(capsys, arguments, words):
    assert words in read_error(capsys, *arguments)


def test_the_url_is_that_of_the_socket():
    with server.bind_socket("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert server.format_url(bound) == f"http://127.0.0.1:{port}/"
        assert server.is_loopback(bound)
    with server.bind_socket("0.0.0.0", 0) as bound:
        assert not server.is_loopback(bound)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0"])
def test_the_process_serves_until_ctrl_c(network, host):
    process = subprocess.Popen(
        [sys.executable, "-m", "faceemo.commands.cli", "serve", str(network), "--port", "0",
         "--host", host, "--max-mib", "0.5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://"))
        netloc = urllib.parse.urlsplit(url).netloc
        with contextlib.closing(http.client.HTTPConnection(netloc, timeout=120)) as connection:
            connection.request(
                "POST", "/api/predict", START + jpeg(face(3)) + b"\r\n--x--\r\n", HEADERS
            )
            response = connection.getresponse()
            assert len(json.loads(response.read())["faces"]) == 1
            assert "server" not in response.headers
            connection.request("GET", "/", headers={"Host": "evil.example"})
            response = connection.getresponse()
            assert response.status == 421
            response.read()
            # A refusal must arrive although the client is still sending a body of unknown length.
            chunks = itertools.chain([START], (bytes(2**16) for _ in range(300)))
            connection.request("POST", "/api/predict", chunks, HEADERS, encode_chunked=True)
            assert connection.getresponse().status == 413
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "server stopped" in output
    assert "Traceback" not in errors
    assert ("no login" in errors) == (host == "0.0.0.0")

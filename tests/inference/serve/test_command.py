"""The command: what it refuses before it begins, and a whole process from its start to Ctrl-C."""

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

from faceemo.inference import cli
from faceemo.inference.serve import server
from tests.support.data.faces import face, jpeg

START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
KIND = {"Content-Type": "multipart/form-data; boundary=x"}


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["serve", "no run is needed", *arguments])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


def test_a_port_in_use_is_one_clear_message(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = refusal(capsys, "--port", port)
    assert f"expected port {port} of 127.0.0.1" in message
    assert "another --port" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "no such host"], "127.0.0.1"),
        (["--host", "192.0.2.1"], "an address that this machine has"),
        (["--port", "70000"], "65535"),
        (["--max-mib", "0"], "above 0"),
        (["--max-megapixels", "90"], "at most 89"),
        (["--waiting", "0"], "from 1"),
        (["--port", "0"], "run's folder"),
    ],
)
def test_mistakes_get_one_message(capsys, arguments, words):
    assert words in refusal(capsys, *arguments)


def test_a_missing_extra_is_told(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    message = refusal(capsys, "--port", "0")
    assert "no uvicorn" in message
    assert "pip install -e '.[serve]'" in message


def test_addresses_are_those_of_a_browser():
    with server.listening("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert server.address(bound) == f"http://127.0.0.1:{port}/"
        assert server.is_loopback(bound)
    with server.listening("0.0.0.0", 0) as bound:
        assert not server.is_loopback(bound)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0"])
def test_a_process_serves_until_ctrl_c(network, host):
    process = subprocess.Popen(
        [sys.executable, "-m", "faceemo.inference.cli", "serve", str(network), "--port", "0",
         "--host", host, "--max-mib", "0.5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://"))
        place = urllib.parse.urlsplit(address).netloc
        with contextlib.closing(http.client.HTTPConnection(place, timeout=120)) as line:
            line.request("POST", "/api/predict", START + jpeg(face(3)) + b"\r\n--x--\r\n", KIND)
            answer = line.getresponse()
            assert len(json.loads(answer.read())["faces"]) == 1
            assert "server" not in answer.headers
            line.request("GET", "/", headers={"Host": "evil.example"})
            answer = line.getresponse()
            assert answer.status == 421
            answer.read()
            # Refused while more is sent, without a length: the refusal arrives all the same.
            pieces = itertools.chain([START], (bytes(2**16) for _ in range(300)))
            line.request("POST", "/api/predict", pieces, KIND, encode_chunked=True)
            assert line.getresponse().status == 413
    finally:
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "ended" in rest
    assert "Traceback" not in errors
    assert ("no login" in errors) == (host == "0.0.0.0")

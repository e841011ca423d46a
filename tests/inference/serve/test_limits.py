"""Requests that the server refuses: too large, too slow, too many, malformed, no image."""

import asyncio
import io
import itertools
import socket
import struct
import tempfile
import threading
import time
import tracemalloc
import urllib.parse
import zlib

import numpy as np
import pytest
from PIL import Image

from faceemo.inference.serve import decode_upload, worker
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.timeouts import TimeoutProtocol
from tests.support.inference.asking import crop_png, make_form, open_api, photo_png
from tests.support.inference.serving import serve_app

START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TIMEOUT = 30  # seconds; far more than the events that tests wait for take


def png_header(width, height):
    """Returns a PNG whose header states this size but which holds hardly any data."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def progressive_jpeg(scans):
    """Returns a JPEG of a million pixels whose `scans` scans take few bytes each."""
    stream = io.BytesIO()
    Image.new("L", (1000, 1000)).save(stream, "JPEG", progressive=True)
    head, _, last = stream.getvalue().rpartition(b"\xff\xda")
    scan = b"\xff\xda" + last.removesuffix(b"\xff\xd9")
    return head + scan * scans + b"\xff\xd9"


def check_error(response, status, code):
    """Checks that a response is an error in the common form; returns its body."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["error"] == code
    assert body.keys() == {"error", "expected", "found", "fix", "message"}
    assert body["message"] == (
        f"expected {body['expected']}; found {body['found']}. Fix: {body['fix']}"
    )
    return body


@pytest.fixture(scope="module")
def api(predictor):
    with open_api(predictor, Limits(max_bytes=2**20, max_pixels=2_000_000)) as api:
        yield api


class Gate:
    """Holds predictions back until it is opened.

    Attributes:
        begun: Released by each prediction that begins.
        open: The event that lets predictions continue.
        batches: Numbers of images in the predictions that continued.
    """

    def __init__(self, monkeypatch, predictor):
        self.begun, self.open, self.batches = threading.Semaphore(0), threading.Event(), []
        predict = predictor.predict_faces

        def wait_and_predict(batch):
            self.begun.release()
            assert self.open.wait(TIMEOUT)
            self.batches.append(len(batch))
            return predict(batch)

        monkeypatch.setattr(predictor, "predict_faces", wait_and_predict)


@pytest.mark.parametrize(
    ("file", "status", "error"),
    [
        (b"GIF89a no image", 415, "film"),
        (b"no image", 415, "no_picture"),
        (b"", 400, "malformed"),
        (b"%PDF-1.7", 415, "no_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "no_picture"),
        (crop_png(1)[:300], 422, "damaged"),
        (b"\xff\xd8\xff\xe0 and no more", 422, "damaged"),
        (png_header(1500, 1400), 413, "too_many_pixels"),
        (png_header(60_000, 60_000), 413, "too_many_pixels"),
        (png_header(2_000_000_000, 2_000_000_000), 413, "too_many_pixels"),
        (progressive_jpeg(60), 422, "damaged"),
        (bytes(2**20 + 1), 413, "too_many_bytes"),
        (bytes(2**21), 413, "too_many_bytes"),
    ],
)
def test_a_file_that_is_no_image_within_the_limits_is_refused(
    api, monkeypatch, file, status, error
):
    if error.startswith("too_many"):
        monkeypatch.setattr(
            decode_upload, "decode", lambda *_: pytest.fail("decoded before its size was checked")
        )
    check_error(api.predict(file), status, error)


def test_only_the_listed_decoders_are_used(api, monkeypatch):
    used = []
    open_image = Image.open

    def record_and_open(*files, formats=None):
        used.append(formats)
        return open_image(*files, formats=formats)

    monkeypatch.setattr(Image, "open", record_and_open)
    assert api.predict(crop_png(0)).status_code == 200
    assert used == [decode_upload.FORMATS] * 2


def test_the_format_is_recognised_by_content_not_by_name(api):
    for name in ("notes.txt", "../../etc/passwd", "x.php\0.png", ""):
        response = api.request("POST", "/api/predict", files=make_form(crop_png(0), name))
        assert response.status_code == (200 if name else 400), name


def test_a_jpeg_of_several_scans_is_accepted(api):
    assert api.predict(progressive_jpeg(12)).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"no form"},
        {"content": b"no form", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"\0" * 99, "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"json": {"file": "text"}},
        {"data": {"file": "text"}},
        {"files": {"file": (None, "a field")}},
        {"files": {"picture": ("a.png", b"x")}},
        {"files": [("file", ("a.png", b"x")), ("file", ("b.png", b"x"))]},
        {"files": {f"field{n}": (None, "x") for n in range(9)}},
        {},
    ],
)
def test_a_malformed_request_is_refused(api, request_):
    check_error(api.request("POST", "/api/predict", **request_), 400, "malformed")


def test_an_invalid_query_parameter_is_refused(api):
    body = check_error(api.predict(crop_png(0), "?heat=perhaps"), 422, "malformed")
    assert body["message"] == (
        "expected true or false as the query parameter heat; found heat=perhaps. Fix: write "
        "heat=true, or leave out heat"
    )
    body = check_error(api.predict(crop_png(0), "?heta=true"), 422, "malformed")
    assert body["found"] == "'heta' (did you mean 'heat'?)"


def test_an_endless_body_is_refused_and_not_kept_in_memory(api):

    async def endless():
        yield START
        for _ in range(100):
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    tracemalloc.start()
    try:
        response = api.request("POST", "/api/predict", content=endless(), headers=headers)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
    check_error(response, 413, "too_many_bytes")


def test_a_slow_upload_times_out(predictor):
    async def slow():
        yield START
        while True:
            yield b"-"
            await asyncio.sleep(0.05)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with open_api(predictor, Limits(upload_timeout=0.2)) as api:
        response = api.request("POST", "/api/predict", content=slow(), headers=headers)
        check_error(response, 408, "slow_upload")
        assert api.get("/api/health").json()["requests"] == 0


def test_a_slow_prediction_times_out_and_the_next_request_succeeds(predictor, monkeypatch):
    gate = Gate(monkeypatch, predictor)
    with open_api(predictor, Limits(response_timeout=0.3)) as api:
        response = api.predict(crop_png(0))
        check_error(response, 503, "busy")
        assert int(response.headers["Retry-After"]) > 0
        gate.open.set()
        assert api.predict(crop_png(1)).status_code == 200


def test_requests_beyond_the_maximum_are_refused_and_waiting_ones_share_a_batch(
    predictor, monkeypatch
):
    gate = Gate(monkeypatch, predictor)
    monkeypatch.setattr(worker, "_MAX_BATCH_DELAY", TIMEOUT)

    async def send_five(api):
        async with api.make_client() as client:
            posts = [
                asyncio.create_task(client.post("/api/predict", files=make_form(crop_png(seed))))
                for seed in range(4)
            ]
            assert await asyncio.to_thread(gate.begun.acquire, timeout=TIMEOUT)
            while (await client.get("/api/health")).json()["requests"] < 4:
                await asyncio.sleep(0.01)
            late = await client.post("/api/predict", files=make_form(crop_png(9)))
            check_error(late, 503, "busy")
            assert int(late.headers["Retry-After"]) > 0
            await asyncio.to_thread(gate.open.set)
            return [response.status_code for response in await asyncio.gather(*posts)]

    with open_api(predictor, Limits(max_requests=4)) as api:
        assert asyncio.run(send_five(api)) == [200] * 4
        assert sum(gate.batches) == 4
        assert len(gate.batches) <= 2, "waiting requests were predicted one by one"
        assert api.predict(crop_png(9)).status_code == 200


def test_a_cancelled_job_is_skipped(predictor, monkeypatch):
    gate = Gate(monkeypatch, predictor)
    with open_api(predictor) as api:
        first = api.worker.submit(crop_png(0))
        assert gate.begun.acquire(timeout=TIMEOUT)
        second, third = (api.worker.submit(crop_png(seed)) for seed in (1, 2))
        assert second.cancel()
        gate.open.set()
        assert [one.result(TIMEOUT).status for one in (first, third)] == ["ok", "ok"]
        assert sum(gate.batches) == 2


def test_a_bug_is_reported_and_the_server_continues(predictor, monkeypatch):
    with open_api(predictor) as api:
        with monkeypatch.context() as broken:
            broken.setattr(predictor.finder, "find", lambda _: 1 / 0)
            body = check_error(api.predict(crop_png(0)), 500, "bug")
            assert body["found"] == "an error inside faceemo"
        with monkeypatch.context() as broken:
            broken.setattr(predictor, "probabilities", lambda _: 1 / 0)
            check_error(api.predict(crop_png(0)), 500, "bug")
        assert api.predict(crop_png(0)).status_code == 200


def test_no_upload_is_written_to_disk(predictor, monkeypatch):
    """Web frameworks by default spool large uploads to temporary files."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1300, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "BMP")
    assert len(stream.getvalue()) > 4 * 2**20
    for name in ("NamedTemporaryFile", "TemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, lambda *_, **__: pytest.fail("a temporary file"))
    with open_api(predictor) as api:
        assert api.predict(stream.getvalue()).status_code == 200
        assert api.predict(photo_png()).status_code == 200


@pytest.mark.parametrize("before", [b"", b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_connection_without_complete_headers_is_closed(predictor, monkeypatch, before):
    """Even if the client sends a byte at a time, or has sent a complete request before."""
    monkeypatch.setattr(TimeoutProtocol, "header_timeout", 0.5)
    with open_api(predictor) as api, serve_app(api.app) as url:
        url_parts = urllib.parse.urlsplit(url)
        with socket.create_connection(
            (url_parts.hostname, url_parts.port), timeout=TIMEOUT
        ) as connection:
            connection.sendall(before)
            received = connection.recv(2**16) if before else b" 200 "
            assert b" 200 " in received
            began = time.monotonic()
            connection.settimeout(0.05)
            for byte in itertools.cycle(b"GET / HTTP/1.1\r\nX: " + b"x" * 50):
                assert time.monotonic() - began < TIMEOUT
                try:
                    connection.sendall(bytes([byte]))
                    if not connection.recv(2**16):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert time.monotonic() - began > 0.3

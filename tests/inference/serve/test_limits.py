"""What the server refuses: too much, too slow, too many, and what is no picture."""

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
from faceemo.inference.serve.timeouts import Impatient
from tests.support.inference.asking import asking, crop, form, photo
from tests.support.inference.serving import running

START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
PATIENT = 30  # seconds for what happens at once


def png_header(width, height):
    """A PNG whose header says so, and which holds next to nothing."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def progressive(scans):
    """A JPEG of a million pixels and so many scans, few bytes each."""
    stream = io.BytesIO()
    Image.new("L", (1000, 1000)).save(stream, "JPEG", progressive=True)
    head, _, last = stream.getvalue().rpartition(b"\xff\xda")
    scan = b"\xff\xda" + last.removesuffix(b"\xff\xd9")
    return head + scan * scans + b"\xff\xd9"


def told(answer, status, error):
    """The body of a refusal, whose form is always the same."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == error
    assert body.keys() == {"error", "expected", "found", "fix", "message"}
    assert body["message"] == (
        f"expected {body['expected']}; found {body['found']}. Fix: {body['fix']}"
    )
    return body


@pytest.fixture(scope="module")
def server(predictor):
    with asking(predictor, Limits(bytes=2**20, pixels=2_000_000)) as asker:
        yield asker


class Gate:
    """Lets a predictor begin, and says so, but not end."""

    def __init__(self, monkeypatch, predictor):
        self.begun, self.open, self.batches = threading.Semaphore(0), threading.Event(), []
        answers = predictor.answers

        def waiting(batch):
            self.begun.release()
            assert self.open.wait(PATIENT)
            self.batches.append(len(batch))
            return answers(batch)

        monkeypatch.setattr(predictor, "answers", waiting)


@pytest.mark.parametrize(
    ("file", "status", "error"),
    [
        (b"GIF89a no picture", 415, "no_picture"),
        (b"", 400, "malformed"),
        (b"%PDF-1.7", 415, "no_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "no_picture"),
        (crop(1)[:300], 422, "damaged"),
        (b"\xff\xd8\xff\xe0 and no more", 422, "damaged"),
        (png_header(1500, 1400), 413, "too_many_pixels"),
        (png_header(60_000, 60_000), 413, "too_many_pixels"),
        (png_header(2_000_000_000, 2_000_000_000), 413, "too_many_pixels"),
        (progressive(60), 422, "damaged"),
        (bytes(2**20 + 1), 413, "too_many_bytes"),
        (bytes(2**21), 413, "too_many_bytes"),
    ],
)
def test_what_is_no_picture_within_limits_is_refused(server, monkeypatch, file, status, error):
    if error.startswith("too_many"):
        monkeypatch.setattr(
            decode_upload, "decode", lambda *_: pytest.fail("decoded before measured")
        )
    told(server.predict(file), status, error)


def test_no_decoder_is_fed_but_those_that_are_named(server, monkeypatch):
    given = []
    opened = Image.open

    def opening(*files, formats=None):
        given.append(formats)
        return opened(*files, formats=formats)

    monkeypatch.setattr(Image, "open", opening)
    assert server.predict(crop(0)).status_code == 200
    assert given == [decode_upload.FORMATS] * 2


def test_a_picture_goes_by_its_content_not_by_its_name(server):
    for name in ("notes.txt", "../../etc/passwd", "x.php\0.png", ""):
        answer = server.ask("POST", "/api/predict", files=form(crop(0), name))
        assert answer.status_code == (200 if name else 400), name


def test_several_scans_are_a_usual_picture(server):
    assert server.predict(progressive(12)).status_code == 200


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
def test_another_form_of_request_is_told(server, request_):
    told(server.ask("POST", "/api/predict", **request_), 400, "malformed")


def test_options_that_are_none_are_told(server):
    body = told(server.predict(crop(0), "?heat=perhaps"), 422, "malformed")
    assert "heat" in body["found"]


def test_a_stream_without_a_length_is_cut_off(server):
    """And what it holds is not kept."""

    async def endless():
        yield START
        for _ in range(100):
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    tracemalloc.start()
    try:
        answer = server.ask("POST", "/api/predict", content=endless(), headers=headers)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
    told(answer, 413, "too_many_bytes")


def test_a_slow_upload_is_given_up(predictor):
    async def slow():
        yield START
        while True:
            yield b"-"
            await asyncio.sleep(0.05)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with asking(predictor, Limits(upload_seconds=0.2)) as asker:
        answer = asker.ask("POST", "/api/predict", content=slow(), headers=headers)
        told(answer, 408, "slow_upload")
        assert asker.get("/api/health").json()["requests"] == 0


def test_a_slow_answer_is_given_up_and_the_next_one_given(predictor, monkeypatch):
    gate = Gate(monkeypatch, predictor)
    with asking(predictor, Limits(answer_seconds=0.3)) as asker:
        answer = asker.predict(crop(0))
        told(answer, 503, "busy")
        assert int(answer.headers["Retry-After"]) > 0
        gate.open.set()
        assert asker.predict(crop(1)).status_code == 200


def test_who_comes_when_all_places_are_taken_comes_back_later(predictor, monkeypatch):
    """And who waits is answered, all that wait together in one batch."""
    gate = Gate(monkeypatch, predictor)
    monkeypatch.setattr(worker, "_PATIENCE", PATIENT)

    async def crowd(asker):
        async with asker.client() as client:
            posts = [
                asyncio.create_task(client.post("/api/predict", files=form(crop(seed))))
                for seed in range(4)
            ]
            assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENT)
            while (await client.get("/api/health")).json()["requests"] < 4:
                await asyncio.sleep(0.01)
            late = await client.post("/api/predict", files=form(crop(9)))
            told(late, 503, "busy")
            assert int(late.headers["Retry-After"]) > 0
            await asyncio.to_thread(gate.open.set)
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    with asking(predictor, Limits(places=4)) as asker:
        assert asyncio.run(crowd(asker)) == [200] * 4
        assert sum(gate.batches) == 4
        assert len(gate.batches) <= 2, "those that waited were predicted one by one"
        assert asker.predict(crop(9)).status_code == 200


def test_what_nobody_waits_for_is_not_looked_at(predictor, monkeypatch):
    gate = Gate(monkeypatch, predictor)
    with asking(predictor) as asker:
        first = asker.worker.submit(crop(0))
        assert gate.begun.acquire(timeout=PATIENT)
        second, third = (asker.worker.submit(crop(seed)) for seed in (1, 2))
        assert second.cancel()
        gate.open.set()
        assert [one.result(PATIENT).status for one in (first, third)] == ["ok", "ok"]
        assert sum(gate.batches) == 2


def test_a_bug_is_told_and_the_server_goes_on(predictor, monkeypatch):
    with asking(predictor) as asker:
        with monkeypatch.context() as broken:
            broken.setattr(predictor.finder, "faces", lambda _: 1 / 0)
            body = told(asker.predict(crop(0)), 500, "bug")
            assert "ZeroDivisionError" in body["found"]
        with monkeypatch.context() as broken:
            broken.setattr(predictor, "probabilities", lambda _: 1 / 0)
            told(asker.predict(crop(0)), 500, "bug")
        assert asker.predict(crop(0)).status_code == 200


def test_nothing_goes_onto_the_disk(predictor, monkeypatch):
    """Not even a picture that is larger than what web servers keep in memory."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1300, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "BMP")
    assert len(stream.getvalue()) > 4 * 2**20
    for maker in ("NamedTemporaryFile", "TemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, maker, lambda *_, **__: pytest.fail("a temporary file"))
    with asking(predictor) as asker:
        assert asker.predict(stream.getvalue()).status_code == 200
        assert asker.predict(photo()).status_code == 200


@pytest.mark.parametrize("before", [b"", b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_connection_that_does_not_say_what_it_wants_is_closed(predictor, monkeypatch, before):
    """Also one that says it a letter at a time, or that asked something before."""
    monkeypatch.setattr(Impatient, "seconds", 0.5)
    with asking(predictor) as asker, running(asker.app) as url:
        place = urllib.parse.urlsplit(url)
        with socket.create_connection((place.hostname, place.port), timeout=PATIENT) as line:
            line.sendall(before)
            answered = line.recv(2**16) if before else b" 200 "
            assert b" 200 " in answered
            began = time.monotonic()
            line.settimeout(0.05)
            for letter in itertools.cycle(b"GET / HTTP/1.1\r\nX: " + b"x" * 50):
                assert time.monotonic() - began < PATIENT
                try:
                    line.sendall(bytes([letter]))
                    if not line.recv(2**16):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert time.monotonic() - began > 0.3

"""What scripts/fuzz.py found in the server."""

import asyncio

import pytest

from faceemo.inference.serve import upload
from tests.support.inference.asking import asking

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/api/predict",
    "query_string": b"",
    "headers": [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"multipart/form-data; boundary=edge"),
    ],
}


@pytest.mark.parametrize("body", [b"no form", b"--edge\r\nno header\r\n\r\n", b""])
def test_a_wrong_form_that_has_arrived_is_refused_without_waiting(predictor, monkeypatch, body):
    """Each took the seconds in which the rest of a request is awaited that breaks off."""
    monkeypatch.setattr(upload, "_LINGER", 10_000.0)
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if not messages:
            await asyncio.Event().wait()  # the client waits for the answer
        return messages.pop()

    async def send(message):
        sent.append(message)

    with asking(predictor) as asker:
        asyncio.run(asyncio.wait_for(asker.app(SCOPE, receive, send), timeout=60))
    assert sent[0]["status"] == 400

"""Defects of the server that scripts/fuzz.py found."""

import asyncio

import pytest

from faceemo.inference.serve import upload
from tests.support.inference.asking import open_api

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
def test_a_malformed_form_that_is_complete_is_refused_at_once(predictor, monkeypatch, body):
    """Each of them used to wait `_DRAIN_SECONDS` for a rest that does not exist."""
    monkeypatch.setattr(upload, "_DRAIN_SECONDS", 10_000.0)
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if not messages:
            await asyncio.Event().wait()  # the client waits for the response
        return messages.pop()

    async def send(message):
        sent.append(message)

    with open_api(predictor) as api:
        asyncio.run(asyncio.wait_for(api.app(SCOPE, receive, send), timeout=60))
    assert sent[0]["status"] == 400

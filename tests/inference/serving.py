"""A server of our own, on a real socket, in a thread."""

import contextlib
import threading
import time

import uvicorn

from faceemo.inference.serve import server
from faceemo.inference.serve.patience import Impatient


@contextlib.contextmanager
def running(app):
    """The address at which an app is served."""
    with server.listening("127.0.0.1", 0) as bound:
        running = uvicorn.Server(uvicorn.Config(app, http=Impatient, log_level="error", ws="none"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            end = time.monotonic() + 60
            while not running.started:
                assert time.monotonic() < end, "the server does not start"
                time.sleep(0.01)
            yield server.address(bound)
        finally:
            running.should_exit = True
            thread.join(60)

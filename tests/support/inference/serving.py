"""Serves an app on a real socket, in a thread."""

import contextlib
import threading
import time

from faceemo.inference.serve import server


@contextlib.contextmanager
def serve_app(app, bound=None, max_requests=32):
    """Yields the URL at which `app` is served; the default socket is a free port of 127.0.0.1."""
    with bound or server.bind_socket("127.0.0.1", 0) as bound:
        uvicorn_server = server.make_server(app, max_requests, log_level="error")
        thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            end = time.monotonic() + 60
            while not uvicorn_server.started:
                assert time.monotonic() < end, "the server does not start"
                time.sleep(0.01)
            yield server.format_url(bound)
        finally:
            uvicorn_server.should_exit = True
            thread.join(60)

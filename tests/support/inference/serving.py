"""A server of our own, on a real socket, in a thread."""

import contextlib
import threading
import time

from faceemo.inference.serve import server


@contextlib.contextmanager
def running(app, bound=None, places=32):
    """The address at which an app is served; by default at a free port of 127.0.0.1."""
    with bound or server.listening("127.0.0.1", 0) as bound:
        running = server.running(app, places, log_level="error")
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

"""A plain web server for a folder, which keeps the paths that it was asked for."""

import contextlib
import functools
import http.server
import threading
from pathlib import Path


class _Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def __init__(self, *args, asked, **options):
        self.asked = asked
        super().__init__(*args, **options)

    def log_request(self, code="-", size="-"):
        self.asked.append(self.path)

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def serve_folder(folder: Path):
    """Yields the address of the folder and the list of paths, which grows."""
    asked: list[str] = []
    handler = functools.partial(_Handler, directory=str(folder), asked=asked)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()

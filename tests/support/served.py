"""A local file server that fails as the requested path says, and an asset that it serves."""

import contextlib
import hashlib
import http.server
import threading
import time

from faceemo.assets import catalogue
from faceemo.assets.catalogue import Asset

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """A server with its `url`, and its `requests` so far as (path, first byte)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, int]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at every path; some paths make it fail."""

    def do_GET(self):
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        assert isinstance(self.server, Server)
        self.server.requests.append((self.path, begin))
        path, is_first = self.path, len(self.server.requests) == 1
        if path == "/missing":
            self.send_error(404)
            return
        if path == "/whole-only":
            begin = 0
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path == "/wrong":
            body = bytes(len(body))
        if path == "/short" or (path in ("/broken", "/whole-only") and is_first):
            body = body[: len(body) // 3]
        if path == "/silent":
            time.sleep(2)
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def run_server():
    """Yields a running server."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def register_asset(monkeypatch, *sources):
    """Adds the asset `thing`, with these sources, to the catalogue."""
    monkeypatch.setitem(catalogue.ASSETS, "thing", Asset("CC0", "thing.bin", sources))


def program_with_asset(server):
    """Returns the first lines of a program that adds the asset `thing` to the catalogue."""
    return f"""
from faceemo.assets import catalogue
from faceemo.assets.downloads import Url
catalogue.ASSETS["thing"] = catalogue.Asset(
    "CC0", "thing.bin", (Url("{server.url}/good", "{SHA256}"),)
)
"""


def list_visible(folder):
    """Lists the names in a folder that do not begin with a dot, as those of partial files do."""
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]

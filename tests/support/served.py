"""A megabyte on a server of one's own that fails as its paths say, and an asset made of it."""

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


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path says what goes wrong."""

    def do_GET(self):
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.server.requests.append((self.path, begin))
        path, first = self.path, len(self.server.requests) == 1
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
        if path == "/short" or (path in ("/broken", "/whole-only") and first):
            body = body[: len(body) // 3]
        if path == "/silent":
            time.sleep(2)
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    """A server with its `url`, and in `requests` what was asked of it: (path, first byte)."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()


def offer(monkeypatch, *sources):
    """Makes `thing` an asset."""
    monkeypatch.setitem(catalogue.ASSETS, "thing", Asset("CC0", "thing.bin", sources))


def program_with_thing(server):
    """The beginning of a program in which `thing` is an asset."""
    return f"""
from faceemo.assets import catalogue
from faceemo.assets.downloads import Url
catalogue.ASSETS["thing"] = catalogue.Asset(
    "CC0", "thing.bin", (Url("{server.url}/good", "{SHA256}"),)
)
"""


def visible(folder):
    """Files that could be taken for assets."""
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]

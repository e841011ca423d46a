"""Sources are tried in order, the cache is verified, and official addresses are Keras's."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faceemo.assets import catalogue, downloads
from faceemo.assets.downloads import Url
from faceemo.errors import UserError
from tests.support.served import (
    CONTENT,
    MD5,
    SHA256,
    list_visible,
    program_with_asset,
    register_asset,
)


@pytest.mark.parametrize("digest", [SHA256, MD5])
def test_a_good_file_is_fetched_once(server, cache, monkeypatch, digest):
    register_asset(monkeypatch, Url(f"{server.url}/good", digest))
    path = catalogue.fetch("thing")
    assert path == cache / "thing.bin"
    assert path.read_bytes() == CONTENT
    assert catalogue.fetch("thing") == path
    assert len(server.requests) == 1
    assert list_visible(cache) == ["thing.bin"]


def test_sources_are_tried_in_order(server, cache, monkeypatch):
    urls = ("/missing", "/wrong", "/good", "/never")
    register_asset(monkeypatch, *(Url(server.url + url, SHA256) for url in urls))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/missing", "/wrong", "/good"]


def test_each_source_has_its_own_hash(server, cache, monkeypatch):
    register_asset(
        monkeypatch, Url(f"{server.url}/missing", "sha256:00"), Url(f"{server.url}/good", MD5)
    )
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_the_error_has_all_reasons_and_the_path_for_a_file_by_hand(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.5)
    refusing = "http://127.0.0.1:9"
    urls = [f"{server.url}/{name}" for name in ("missing", "wrong", "short", "silent")]
    register_asset(monkeypatch, *(Url(url, SHA256) for url in [*urls, refusing]))
    with pytest.raises(UserError) as caught:
        catalogue.fetch("thing")
    message = str(caught.value)
    for url, reason in {
        "/missing": "HTTP status 404",
        "/wrong": f"wrong hash sha256:{hashlib.sha256(bytes(len(CONTENT))).hexdigest()}",
        "/short": "the connection ended early",
        "/silent": "timed out",
        refusing: "refused",
    }.items():
        assert reason in message.split(url)[1].split("; http")[0], url
    assert str(cache / "thing.bin") in message
    assert SHA256 in message
    assert not (cache / "thing.bin").exists()


def test_a_file_put_by_hand_is_used(cache, monkeypatch):
    register_asset(monkeypatch, Url("http://127.0.0.1:9", SHA256))
    cache.mkdir()
    (cache / "thing.bin").write_bytes(CONTENT)
    assert catalogue.fetch("thing").read_bytes() == CONTENT


def test_a_flipped_bit_in_the_cache_is_never_used(server, cache, monkeypatch):
    register_asset(monkeypatch, Url(f"{server.url}/good", SHA256))
    path = catalogue.fetch("thing")
    before = path.stat()
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    # Only the content differs.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert len(server.requests) == 2
    path.write_bytes(damaged)
    register_asset(monkeypatch, Url(f"{server.url}/missing", SHA256))
    with pytest.raises(UserError, match=r"had the wrong hash and was removed; .*404"):
        catalogue.fetch("thing")
    assert not path.exists()


def test_a_cache_folder_that_cannot_be_created_is_an_error(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "file"))
    register_asset(monkeypatch, Url(f"{server.url}/good", SHA256))
    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        catalogue.fetch("thing")


def test_concurrent_processes_fetch_a_file_once(server, cache):
    program = program_with_asset(server) + 'print(catalogue.fetch("thing"))'
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert {run.communicate(timeout=60)[0].strip() for run in runs} == {str(cache / "thing.bin")}
    assert len(server.requests) == 1


def test_official_addresses_and_hashes_equal_those_of_keras():
    # The source is read: importing it would start TensorFlow.
    origin = importlib.util.find_spec("keras").origin
    folder = Path(origin).parent / "src" / "applications"
    source = "".join(
        (folder / f"{name}.py").read_text() for name in ("vgg16", "resnet", "efficientnet")
    )
    # The source splits long addresses into several strings.
    source = re.sub(r'"\s*"', "", source)
    pairs = {
        "vgg16": r'notop.h5",\s*WEIGHTS_PATH_NO_TOP,[^)]*file_hash="(\w+)"',
        "resnet50v2": r'"resnet50v2": \(\s*"\w+",\s*"(\w+)"',
        "efficientnetb0": r'"b0": \(\s*"\w+",\s*"(\w+)"',
    }
    for name, digest in pairs.items():
        (url,) = catalogue.ASSETS[f"{name}.imagenet"].sources
        assert isinstance(url, Url)
        assert url.digest == f"md5:{re.search(digest, source)[1]}"
        address, _, file = url.url.rpartition("/")
        assert f'"{url.url}"' in source or f'"{address}/"' in source
        assert file.startswith(name)
        assert file.endswith("_notop.h5")

"""Broken downloads resume; a download without enough disk space leaves nothing."""

import errno
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from faceemo.assets import catalogue, downloads
from faceemo.assets.downloads import Url
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, list_visible, program_with_asset, register_asset


@pytest.mark.parametrize("url", ["/broken", "/whole-only"])
def test_a_broken_connection_is_resumed(server, cache, monkeypatch, url):
    register_asset(monkeypatch, Url(server.url + url, SHA256))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [(url, 0), (url, len(CONTENT) // 3)]
    assert list_visible(cache) == ["thing.bin"]


def test_a_later_run_resumes_a_download(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    register_asset(monkeypatch, Url(f"{server.url}/broken", SHA256))
    with pytest.raises(UserError, match=f"ended early, after {len(CONTENT) // 3:,} bytes"):
        catalogue.fetch("thing")
    assert not (cache / "thing.bin").exists()
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests[-1] == ("/broken", len(CONTENT) // 3)


@pytest.mark.parametrize("stale", [b"other" * 100, CONTENT + b"more"], ids=["other", "too long"])
def test_a_wrong_partial_file_is_downloaded_again(server, cache, monkeypatch, stale):
    source = Url(f"{server.url}/good", SHA256)
    register_asset(monkeypatch, source)
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(stale)
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [("/good", len(stale)), ("/good", 0)]


def test_a_complete_partial_file_is_used(server, cache, monkeypatch):
    register_asset(monkeypatch, Url(f"{server.url}/good", SHA256))
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(CONTENT)
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == []


def test_too_little_disk_space_is_an_error_before_the_download(server, cache, monkeypatch):
    register_asset(monkeypatch, Url(f"{server.url}/good", SHA256))
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="1,048,576 bytes needed, 1,000 free"):
        catalogue.fetch("thing")
    assert list_visible(cache) == []


def test_a_disk_that_fills_up_is_an_error(server, cache):
    # The limit of the file size is reached in the middle of the download.
    program = f"""{program_with_asset(server)}
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
catalogue.fetch("thing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"cannot write to {cache}: [Errno {errno.EFBIG}]" in done.stderr
    assert "UserError" in done.stderr
    assert list_visible(cache) == []

"""A download that breaks off is taken up again; one for which there is no room leaves nothing."""

import errno
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from faceemo.assets import catalogue, downloads
from faceemo.assets.downloads import Url
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, offer, program_with_thing, visible


@pytest.mark.parametrize("url", ["/broken", "/whole-only"])
def test_a_broken_connection_is_taken_up_again(server, cache, monkeypatch, url):
    offer(monkeypatch, Url(server.url + url, SHA256))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [(url, 0), (url, len(CONTENT) // 3)]
    assert visible(cache) == ["thing.bin"]


def test_a_later_run_resumes(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    offer(monkeypatch, Url(f"{server.url}/broken", SHA256))
    with pytest.raises(UserError, match=f"ended early, after {len(CONTENT) // 3:,} bytes"):
        catalogue.fetch("thing")
    assert not (cache / "thing.bin").exists()
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests[-1] == ("/broken", len(CONTENT) // 3)


@pytest.mark.parametrize("stale", [b"other" * 100, CONTENT + b"more"], ids=["other", "too long"])
def test_a_partial_file_that_does_not_fit_is_started_again(server, cache, monkeypatch, stale):
    source = Url(f"{server.url}/good", SHA256)
    offer(monkeypatch, source)
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(stale)
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == [("/good", len(stale)), ("/good", 0)]


def test_a_download_stopped_before_its_last_move_is_complete(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    cache.mkdir()
    (cache / f"thing.bin.{SHA256[-12:]}.part").write_bytes(CONTENT)
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert server.requests == []


def test_too_little_room_is_seen_before_the_download(server, cache, monkeypatch):
    offer(monkeypatch, Url(f"{server.url}/good", SHA256))
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="1,048,576 bytes needed, 1,000 free"):
        catalogue.fetch("thing")
    assert visible(cache) == []


def test_a_disk_that_fills_up(server, cache):
    # The kernel refuses to let the file grow, in the middle of the download.
    program = f"""{program_with_thing(server)}
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
catalogue.fetch("thing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"cannot write to {cache}: [Errno {errno.EFBIG}]" in done.stderr
    assert "UserError" in done.stderr
    assert visible(cache) == []

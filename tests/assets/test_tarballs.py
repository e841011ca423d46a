"""Members of tar files: taken out and verified; the tar file goes."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from faceemo.assets import catalogue
from faceemo.assets.downloads import Tarball, Url
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, offer, visible


@pytest.fixture
def site(tmp_path):
    """A folder that is served, with one tar file in it, and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    with tarfile.open(folder / "thing.tgz", "w:gz") as archive:
        for name, content in {"package/data.bin": CONTENT, "package/other.bin": b"other"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        folded = tarfile.TarInfo("package/folder")
        folded.type = tarfile.DIRTYPE
        archive.addfile(folded)
    whole = (folder / "thing.tgz").read_bytes()
    (folder / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    (folder / "page.tgz").write_text("<html>")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def packed(site, name="thing.tgz", member="package/data.bin", digest=SHA256):
    folder, address = site
    archive = folder / name
    sha512 = hashlib.sha512(archive.read_bytes()).hexdigest() if archive.exists() else "00"
    return Tarball(Url(f"{address}/{name}", f"sha512:{sha512}"), member, digest)


def test_a_member_of_a_tar_file(site, cache, monkeypatch):
    offer(monkeypatch, packed(site))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert visible(cache) == ["thing.bin"]


def test_only_the_member_counts_once_it_is_there(site, cache, monkeypatch):
    offer(monkeypatch, packed(site))
    catalogue.fetch("thing")
    (site[0] / "thing.tgz").unlink()
    assert catalogue.fetch("thing").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"name": "gone.tgz"}, "HTTP status 404"),
        ({"member": "package/nothing.bin"}, "cannot take package/nothing.bin out of .*not found"),
        ({"member": "package/folder"}, "package/folder is no file in"),
        ({"member": "package/other.bin"}, "wrong hash"),
        ({"name": "cut.tgz"}, "cannot take package/data.bin out of .*ended"),
        ({"name": "page.tgz"}, "cannot take package/data.bin out of .*could not be opened"),
    ],
)
def test_a_tar_file_that_does_not_help(site, cache, monkeypatch, what, reason):
    offer(monkeypatch, packed(site, **what))
    with pytest.raises(UserError, match=reason):
        catalogue.fetch("thing")
    assert visible(cache) == []


def test_a_tar_file_that_was_replaced_is_not_opened(site, cache, monkeypatch):
    source = packed(site)
    (site[0] / "thing.tgz").write_bytes(b"something else")
    offer(monkeypatch, source)
    with pytest.raises(UserError, match="wrong hash sha512:"):
        catalogue.fetch("thing")
    assert visible(cache) == []

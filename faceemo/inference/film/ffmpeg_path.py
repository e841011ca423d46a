"""A path by which FFmpeg, in OpenCV or PyAV, opens or creates a file."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ffmpeg_path(path: Path) -> Iterator[str]:
    """Yields a path by which FFmpeg opens or creates a file, whatever its name.

    FFmpeg takes names in UTF-8 only; any other file gets a link. The path is absolute, because
    FFmpeg would take a name such as 'http:x.mp4' for an address.
    """
    path = path.absolute()
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        pass
    else:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        suffix = path.suffix if path.suffix.isascii() else ""
        link = Path(folder, f"film{suffix}")
        link.symlink_to(path)
        yield str(link)

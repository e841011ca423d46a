"""The reason why a film cannot be opened."""

from pathlib import Path

import av
from av.error import FFmpegError

from faceemo.inference.film.ffmpeg_path import ffmpeg_path


def describe_fault(path: Path) -> str:
    """Returns the reason why a file that should be a film cannot be opened by OpenCV."""
    try:
        with ffmpeg_path(path) as name, av.open(name) as film:
            if film.streams.audio and not film.streams.video:
                return "a file of sound alone, without a picture"
            if not film.streams.video or next(film.decode(video=0), None) is None:
                return "a video without frames"
    except FFmpegError:
        return "a video that cannot be opened: it is damaged or cut off"
    return "a video in a format that cannot be read"

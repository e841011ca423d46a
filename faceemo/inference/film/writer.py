"""Films that browsers play: H.264 or VP9, with the times of their frames and with sound."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import OutputContainer
from av.video import VideoStream
from PIL import Image

from faceemo import staging
from faceemo.errors import UserError
from faceemo.inference.film.ffmpeg_path import ffmpeg_path
from faceemo.inference.film.sound import Sound

_TICKS = 90_000  # per second, to which the times of frames are rounded
_MAX_SIDE = 3840  # pixels; larger frames, which few machines play, are scaled down
_BT709 = 1  # the number of this standard of colours


class _Form(NamedTuple):
    """How the films of a container are written.

    Attributes:
        video: The encoder of the frames.
        options: Its options. Frames that refer to later ones would lose their times.
        copied: The codecs of sound that its players know.
        audio: The encoder of all other sound.
        container: Options of the container.
    """

    video: str
    options: dict[str, str]
    copied: set[str]
    audio: str
    container: dict[str, str]


# An index at the beginning lets a browser play a film before it has all of it.
_H264 = _Form(
    "libx264",
    {"preset": "veryfast", "crf": "21", "bf": "0"},
    {"aac", "mp3"},
    "aac",
    {"movflags": "+faststart"},
)
_VP9 = _Form(
    "libvpx-vp9",
    {"deadline": "realtime", "cpu-used": "5", "crf": "28", "b": "0", "row-mt": "1"},
    {"opus", "vorbis"},
    "libopus",
    {},
)


class FilmWriter:
    """A film that is being written, made by `write_film`.

    Attributes:
        sound_problem: Why the sound is missing or ends too early; empty if it does not.
    """

    def __init__(
        self, output: OutputContainer, form: _Form, seconds_per_frame: float, sound: Path | None
    ):
        self.sound_problem = ""
        self._output, self._form, self._source = output, form, sound
        self._step = max(1, round(seconds_per_frame * _TICKS))
        self._next = 0  # the earliest time of the next frame
        self._stream: VideoStream | None = None
        self._sound: Sound | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no frame is written yet."""
        return self._stream is None

    def write(self, rgb: np.ndarray, seconds: float) -> None:
        """Writes a frame, uint8 [H, W, 3] (red, green, blue), that is shown from a time on.

        All frames get the size of the first one. A time that is not later than that of the frame
        before is replaced.
        """
        if self._stream is None:
            height, width = rgb.shape[:2]
            factor = min(1, _MAX_SIDE / max(height, width))
            # the encoders take even numbers
            self._stream = self._open(
                *(2 * -(-round(factor * one) // 2) for one in (width, height))
            )
        size = self._stream.width, self._stream.height
        if (rgb.shape[1], rgb.shape[0]) != size:
            rgb = _fit(rgb, *size)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.time_base = Fraction(1, _TICKS)
        frame.pts = max(round(seconds * _TICKS), self._next)
        self._next = frame.pts + 1
        self._mux(frame)
        if self._sound:
            self._sound.write(until=seconds)

    def end(self) -> None:
        """Writes what is left of the frames and of the sound."""
        if self._stream is not None:
            self._mux(None)
        if self._sound:
            self._sound.write()
            self.sound_problem = self._sound.problem

    def close(self) -> None:
        """Closes the source of the sound."""
        if self._sound:
            self._sound.close()

    def _open(self, width: int, height: int) -> VideoStream:
        rate = Fraction(_TICKS, self._step).limit_denominator(1001)
        stream = self._output.add_stream(self._form.video, rate=rate, options=self._form.options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1  # 16 to 235, as usual in films
        if self._source:
            self._sound = Sound(self._source, self._output, self._form.copied, self._form.audio)
        return stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._stream is not None
        for packet in self._stream.encode(frame):
            packet.duration = self._step  # of the last one; those of all others follow from times
            self._output.mux(packet)


@contextlib.contextmanager
def write_film(path: Path, fps: float, sound: Path | None = None) -> Iterator[FilmWriter]:
    """Yields a writer of frames. The film appears when all are written, or not at all.

    Args:
        path: The film, with one of `output_paths.FILM_SUFFIXES`.
        fps: The frames per second, by which the last frame is shown.
        sound: The file whose sound the film gets, from the first frame of its video on.

    Raises:
        UserError: If no frame is written.
    """
    form = _VP9 if path.suffix.lower() == ".webm" else _H264
    with (
        staging.file(path) as partial,
        ffmpeg_path(partial) as target,
        av.open(target, "w", options=form.container) as output,
    ):
        writer = FilmWriter(output, form, 1 / fps, sound)
        try:
            yield writer
            if writer.is_empty:
                raise UserError(
                    expected=f"frames for {path}",
                    found="a video without any",
                    fix="check that a player shows the video",
                )
            writer.end()
        finally:
            writer.close()


def _even(side: float) -> int:
    """Rounds up to an even number, which encoders need."""
    return 2 * -(-round(side) // 2)


def _fit(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Repeats the last row or column of pixels if one is missing; otherwise resizes."""
    below, right = height - rgb.shape[0], width - rgb.shape[1]
    if {below, right} <= {0, 1}:
        return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))

"""The sound of a film, taken over into another one."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio import AudioStream
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from faceemo.inference.film.ffmpeg_path import ffmpeg_path

_RATES = (48000, 44100, 32000, 24000, 16000, 12000, 8000)  # that AAC and Opus have in common
_OPUS_RATES = (48000, 24000, 16000, 12000, 8000)


class Sound:
    """The sound of a source, written into an output bit by bit.

    Packets are copied if the output's players know their codec; otherwise they are encoded anew.

    Args:
        source: The file; it may have no sound.
        output: The film that is being written, of which no packet is written yet.
        copied: The codecs whose packets are copied.
        encoder: The name of the encoder for all others.

    Attributes:
        problem: Why the sound is missing or ends too early; empty if it does not.
    """

    def __init__(self, source: Path, output: OutputContainer, copied: set[str], encoder: str):
        self.problem = ""
        self._output = output
        self._packets: Iterator[av.Packet] = iter(())
        self._seconds = 0.0
        self._source: InputContainer | None = None
        try:
            with ffmpeg_path(source) as path:
                self._source = av.open(path)
            self._packets = self._start(self._source, copied, encoder)
        except FFmpegError as error:
            self.problem = f"its sound cannot be read ({error.strerror})"

    def write(self, until: float | None = None) -> None:
        """Writes the sound up to a time of the film, seconds; None writes all that is left."""
        while until is None or self._seconds <= until:
            try:
                packet = next(self._packets, None)
                if packet is None:
                    return
                if packet.pts is not None and packet.time_base is not None:
                    self._seconds = float(packet.pts * packet.time_base)
                self._output.mux(packet)
            except FFmpegError as error:
                self.problem = f"its sound ends at {self._seconds:.1f} s ({error.strerror})"
                self._packets = iter(())

    def close(self) -> None:
        """Closes the source."""
        if self._source:
            self._source.close()

    def _start(self, source: InputContainer, copied: set[str], encoder: str) -> Iterator[av.Packet]:
        """Adds the stream to the output and returns its packets, in the time of the film."""
        stream = source.streams.best("audio")
        if not isinstance(stream, AudioStream):
            return iter(())
        # The frames of a film are counted from its first one.
        video = source.streams.best("video")
        start = Fraction(0)
        if video and video.start_time and video.time_base:
            start = video.start_time * video.time_base
        if stream.codec_context.codec.canonical_name in copied:
            target = self._output.add_stream_from_template(stream)
            return _copy(source, stream, target, start)
        rates = _OPUS_RATES if encoder == "libopus" else _RATES
        rate = next((one for one in rates if one <= stream.codec_context.sample_rate), rates[-1])
        made = self._output.add_stream(encoder, rate=rate)
        assert isinstance(made, AudioStream)
        made.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        return _encode(source, stream, made, start)


def _copy(
    source: InputContainer, stream: AudioStream, target: AudioStream, start: Fraction
) -> Iterator[av.Packet]:
    shift = _count_ticks(start, stream)
    for packet in source.demux(stream):
        if packet.dts is None:  # the last, which is empty
            continue
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts -= shift
        packet.stream = target
        yield packet


def _encode(
    source: InputContainer, stream: AudioStream, target: AudioStream, start: Fraction
) -> Iterator[av.Packet]:
    context = target.codec_context
    context.open(strict=False)
    resampler = AudioResampler(context.format, context.layout, context.rate, context.frame_size)
    shift = _count_ticks(start, stream)
    for frame in itertools.chain(source.decode(stream), [None]):
        if frame is not None:
            frame.pts = None if frame.pts is None else frame.pts - shift
        for part in resampler.resample(frame):
            yield from target.encode(part)
    yield from target.encode(None)


def _count_ticks(seconds: Fraction, stream: AudioStream) -> int:
    """Returns a time in the units in which a stream counts."""
    assert stream.time_base is not None, "FFmpeg gives one to every stream that it opens"
    return round(seconds / stream.time_base)

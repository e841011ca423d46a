"""Films of a face that moves to the right or with a tone, and a webcam that plays them."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
from av.audio import AudioStream
from av.audio.resampler import AudioResampler

from tests.support.data.faces import face

_VideoCapture = cv2.VideoCapture  # the original, whatever a test puts in its place


def write(path, frames=40, fourcc="mp4v"):
    """Writes a video of 320 by 240 pixels, ten frames a second; returns its path.

    The face is 140 pixels high and moves by 3 pixels per frame.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 10, (320, 240))
    for frame in range(frames):
        pixels = np.full((240, 320), 128, np.uint8)
        left = 10 + 3 * (frame % 50)
        pixels[50:190, left : left + 140] = face(4, 140)
        writer.write(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


class FakeCamera:
    """A `cv2.VideoCapture` whose device 0 plays a file until Ctrl-C.

    Args:
        path: The file.
        frames: The number of frames before Ctrl-C.
    """

    def __init__(self, path, frames):
        self.path, self.left, self.opened = path, frames, []

    def __call__(self, source):
        self.opened.append(source)
        self.device = source == 0
        self._video = _VideoCapture(str(self.path) if self.device else source)
        return self

    def __getattr__(self, name):
        return getattr(self._video, name)

    def get(self, what):
        """Returns a property; the frame count of a camera is unknown."""
        count = self.device and what == cv2.CAP_PROP_FRAME_COUNT
        return -1.0 if count else self._video.get(what)

    def grab(self):
        """Takes the next frame; raises KeyboardInterrupt after the last one."""
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._video.grab()


def write_with_sound(
    path, times, *, start=0.0, sound="aac", hertz=440, seconds=None, side=64, pictures=True
):
    """Writes a film with a tone of 440 Hz, by PyAV; returns its path.

    Args:
        path: The film.
        times: The times of its frames, seconds; frame k is all red with a value of 40 + 10 k.
        start: The time in the file at which the sound and the times of the frames begin.
        sound: The encoder of the sound; None writes none.
        hertz: The tone.
        seconds: The length of the sound; that of the frames if None.
        side: The side of the frames, pixels.
        pictures: Whether there are frames at all.
    """
    rate = 48000
    with av.open(str(path), "w") as output:
        frames = _add_frames(output, path.suffix, side) if pictures else None
        tone = output.add_stream(sound, rate=rate) if sound else None
        if tone:
            assert isinstance(tone, AudioStream)
            tone.codec_context.layout = "mono"
        for number, time in enumerate(times if frames else ()):
            rgb = np.zeros((side, side, 3), np.uint8)
            rgb[..., 0] = 40 + 10 * number
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round((start + time) * 1000), Fraction(1, 1000)
            output.mux(frames.encode(frame))
        if frames:
            output.mux(frames.encode())
        if isinstance(tone, AudioStream):
            tone.codec_context.open(strict=False)
            count = round(rate * (seconds or times[-1] + times[-1] / len(times)))
            wave = (8000 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(start * rate)
            resampler = AudioResampler(tone.codec_context.format, "mono", rate,
                                       tone.codec_context.frame_size)  # fmt: skip
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                output.mux(tone.encode(part))
    return path


def _add_frames(output, suffix, side):
    frames = output.add_stream("libvpx" if suffix == ".webm" else "mpeg4", rate=10)
    frames.width, frames.height, frames.pix_fmt = side, side, "yuv420p"
    frames.codec_context.time_base = Fraction(1, 1000)
    return frames


def read_sound(path):
    """Returns the samples, float [N], at 48 kHz, of a film's sound, and the time of the first."""
    with av.open(str(path)) as film:
        resampler, parts, start = AudioResampler("fltp", "mono", 48000), [], None
        for frame in itertools.chain(film.decode(audio=0), [None]):
            for part in resampler.resample(frame):
                assert part.pts is not None
                assert part.time_base is not None
                start = float(part.pts * part.time_base) if start is None else start
                parts.append(part.to_ndarray()[0])
    return np.concatenate(parts), start

"""Tests of films that are cut off, turned, huge or no films: each has its reason, or is read."""

import struct

import av
import numpy as np
import pytest

from faceemo.errors import UserError
from faceemo.inference.film import video
from faceemo.inference.film.video import Video
from faceemo.inference.inputs import Input, find_inputs
from faceemo.inference.read_input import open_film, read_input
from tests.support.inference import films


def read(path):
    """Returns the frames of a film."""
    (found,) = find_inputs([path])
    return list(read_input(found, 0))


def write_turned(path):
    """Writes frames of 128x64 pixels, red on their left, that players turn to the right."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        rgb = np.zeros((64, 128, 3), np.uint8)
        rgb[:, :64, 0] = 255
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        film.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    # Of the track's header (ISO 14496-12): version and flags, 20 bytes of times and numbers, 16
    # more, then the matrix.
    start = content.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack_from(">9i", content, start)[0] == 1 << 16
    matrix = (0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    struct.pack_into(">9i", content, start, *matrix)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_a_film_of_sound_alone_has_the_true_reason(tmp_path, name):
    path = films.write_with_sound(tmp_path / name, [0, 0.1], pictures=False)
    (image,) = read(path)
    assert image.pixels is None
    assert image.problem == "a file of sound alone, without a picture"


def test_a_film_without_frames_has_the_true_reason(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        film.start_encoding()
    (image,) = read(path)
    assert image.problem == "a video without frames"


def test_a_film_that_is_cut_off_has_the_true_reason(tmp_path, capfd):
    """And no line of FFmpeg beside it."""
    path = films.write_with_sound(tmp_path / "a.mp4", [k / 10 for k in range(9)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (image,) = read(path)
    assert image.problem == "a video that cannot be opened: it is damaged or cut off"
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_a_turned_film_is_read_upright(tmp_path):
    write_turned(tmp_path / "a.mp4")
    for image in read(tmp_path / "a.mp4"):
        blue, green, red = image.pixels.bgr.transpose(2, 0, 1).astype(int)
        assert red.shape == (128, 64)
        assert red[:60].min() > 240, "the left side is the top"
        assert max(red[68:].max(), blue.max(), green.max()) < 15


def test_times_of_a_varying_rate_are_those_of_the_file(tmp_path):
    times = [0, 0.04, 0.4, 0.44, 2, 2.5]
    for name in ("a.mp4", "a.mkv", "a.webm"):
        path = films.write_with_sound(tmp_path / name, times, sound=None)
        assert [image.time for image in read(path)] == pytest.approx(times, abs=2e-3), name


def test_frames_that_would_take_gigabytes_are_refused(tmp_path, monkeypatch):
    path = films.write_with_sound(tmp_path / "a.mp4", [0, 0.1], side=128)
    monkeypatch.setattr(video, "_MAX_PIXELS", 128 * 128 - 1)
    (found,) = find_inputs([path])
    refused = open_film(found, 1, 0)
    assert isinstance(refused, Input)
    assert refused.content.reason.startswith("frames of 128 × 128 pixels, more than 0 million")
    with pytest.raises(UserError, match=r"found frames of 128 × 128 pixels\. Fix: scale"):
        Video(path)
    monkeypatch.setattr(video, "_MAX_PIXELS", 128 * 128)
    assert len(read(path)) == 2

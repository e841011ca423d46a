"""Tests of written films: times, colours, sizes and sound, read back by OpenCV and PyAV."""

import json

import av
import cv2
import numpy as np
import pytest

from faceemo.commands import cli
from faceemo.errors import UserError
from faceemo.inference.film.video import Video
from faceemo.inference.film.writer import write_film
from faceemo.inference.output_paths import FILM_SUFFIXES
from tests.support import chromium
from tests.support.inference import films

UNEVEN = [0, 0.1, 0.2, 0.6, 0.7, 1.5]  # seconds
RATE = 48000


def read_frames(path):
    """Returns the times and frames that OpenCV reads."""
    source, times, frames = cv2.VideoCapture(str(path)), [], []
    while True:
        ok, bgr = source.read()
        if not ok:
            return times, frames
        times.append(source.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        frames.append(bgr[..., ::-1])


def write(path, times=UNEVEN, size=(48, 64), sound=None):
    with write_film(path, 2.5, sound) as film:
        for number, time in enumerate(times):
            film.write(np.full((*size, 3), (200, 40 + 20 * number, 90), np.uint8), time)
    return film


def read_codecs(path):
    with av.open(str(path)) as film:
        return {stream.type: stream.codec_context.codec.canonical_name for stream in film.streams}


def find_start(path, kind):
    """Returns the time of the first packet of a stream."""
    with av.open(str(path)) as film:
        packets = film.demux(film.streams.best(kind))
        return min(float(one.pts * one.time_base) for one in packets if one.pts is not None)


@pytest.mark.parametrize("suffix", FILM_SUFFIXES)
def test_frames_keep_their_times_and_colours(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    write(path)
    times, frames = read_frames(path)
    assert times == pytest.approx(UNEVEN, abs=2e-3)
    for number, frame in enumerate(frames):
        assert frame.shape == (48, 64, 3)
        np.testing.assert_allclose(
            frame.reshape(-1, 3).mean(0), (200, 40 + 20 * number, 90), atol=4
        )
    with av.open(str(path)) as film:
        assert film.duration is not None
        assert film.duration / 1e6 == pytest.approx(1.9, abs=0.02), "the last one is shown, too"
    assert read_codecs(path) == {"video": "vp9" if suffix == ".webm" else "h264"}


def test_times_that_do_not_grow_are_replaced(tmp_path):
    write(tmp_path / "film.mp4", [0, 0.4, 0.4, 0.2, 1])
    times, _ = read_frames(tmp_path / "film.mp4")
    assert len(times) == 5
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    ("size", "written"), [((47, 61), (48, 62)), ((40, 4000), (38, 3840)), ((1, 1), (2, 2))]
)
def test_odd_sizes_are_padded_and_large_ones_scaled_down(tmp_path, size, written):
    write(tmp_path / "film.mp4", [0, 0.4], size)
    _, frames = read_frames(tmp_path / "film.mp4")
    assert [frame.shape[:2] for frame in frames] == [written] * 2
    np.testing.assert_allclose(frames[0].reshape(-1, 3).mean(0), (200, 40, 90), atol=6)


def test_a_frame_of_another_size_gets_that_of_the_first(tmp_path):
    with write_film(tmp_path / "film.mp4", 10) as film:
        for number, side in enumerate((64, 96, 32)):
            film.write(np.full((side, side, 3), 120, np.uint8), number / 10)
    _, frames = read_frames(tmp_path / "film.mp4")
    assert [frame.shape for frame in frames] == [(64, 64, 3)] * 3


def test_a_film_without_frames_is_not_written(tmp_path):
    with pytest.raises(UserError, match="a video without any"):
        write(tmp_path / "film.mp4", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "encoder", "drawn", "codec"),
    [
        *(("a.mp4", "aac", ".mp4", "aac"), ("a.mkv", "libmp3lame", ".mp4", "mp3")),
        *(("a.ts", "aac", ".mp4", "aac"), ("a.webm", "libopus", ".webm", "opus")),
        *(("a.avi", "pcm_s16le", ".mp4", "aac"), ("a.webm", "libopus", ".mp4", "aac")),
        *(("a.mp4", "aac", ".webm", "opus"), ("a.mkv", "ac3", ".mkv", "aac")),
    ],
)
def test_the_sound_is_kept(tmp_path, name, encoder, drawn, codec):
    """Copied where browsers know its codec, and in step with the frames."""
    source = films.write_with_sound(tmp_path / name, [k / 10 for k in range(20)], sound=encoder)
    path = tmp_path / f"drawn{drawn}"
    film = write(path, [k / 10 for k in range(20)], sound=source)
    assert film.sound_problem == ""
    assert read_codecs(path)["audio"] == codec
    samples, start = films.read_sound(path)
    assert abs(start) < 0.06
    assert len(samples) / RATE == pytest.approx(2, abs=0.1)
    middle = samples[RATE // 2 : 3 * RATE // 2]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=1)


def test_the_sound_begins_with_the_first_frame(tmp_path):
    """In a file whose times begin late, and where the frames begin after the sound."""
    times = [k / 10 for k in range(20)]
    late = films.write_with_sound(tmp_path / "late.mkv", times, start=3.0)
    behind = films.write_with_sound(tmp_path / "behind.mkv", [one + 0.5 for one in times])
    for source, skipped in ((late, 0), (behind, 0.5)):
        drawn = tmp_path / "drawn.mp4"
        with write_film(drawn, 10, source) as film:
            for image in Video(source).read_frames():
                film.write(np.zeros((32, 32, 3), np.uint8), image.time)
        assert find_start(drawn, "video") == 0
        # the encoder's first packet is before the sound
        assert find_start(drawn, "audio") == pytest.approx(-skipped, abs=0.03), source.name


def test_a_film_whose_sound_is_cut_off_is_written_all_the_same(tmp_path):
    times = [k / 10 for k in range(20)]
    source = films.write_with_sound(tmp_path / "a.mkv", times)
    source.write_bytes(source.read_bytes()[:3000])
    film = write(tmp_path / "drawn.mp4", times, sound=source)
    assert len(read_frames(tmp_path / "drawn.mp4")[0]) == 20
    source.write_bytes(b"no film")
    film = write(tmp_path / "drawn.mp4", times, sound=source)
    assert "its sound cannot be read" in film.sound_problem
    assert len(read_frames(tmp_path / "drawn.mp4")[0]) == 20


def test_a_film_without_sound_gets_none(tmp_path):
    source = films.write_with_sound(tmp_path / "a.mp4", [0, 0.1], sound=None)
    film = write(tmp_path / "drawn.mp4", sound=source)
    assert film.sound_problem == ""
    assert read_codecs(tmp_path / "drawn.mp4").keys() == {"video"}


def test_a_drawn_film_keeps_times_and_sound(with_small_predictor, tmp_path, capsys):
    """Those of a film with a varying rate, of which every second frame is taken."""
    source = films.write_with_sound(tmp_path / "a.mkv", UNEVEN, sound="pcm_s16le", side=96)
    drawn = tmp_path / "drawn"
    options = ["--crops", "--every", "2", "--draw", str(drawn), "--format", "jsonl"]
    assert cli.main(["predict", "run", str(source), *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    times, frames = read_frames(drawn / "a.mp4")
    assert times == pytest.approx(UNEVEN[::2], abs=2e-3)
    assert [row["time"] for row in rows] == pytest.approx(times, abs=2e-3)
    assert frames[0].shape == (480, 480, 3)
    samples, _ = films.read_sound(drawn / "a.mp4")
    assert len(samples) / RATE == pytest.approx(1.75, abs=0.1)


PLAYED = """
new Promise(resolve => {
  const video = document.querySelector("video");
  video.onerror = () => resolve(video.error.message);
  video.onended = () => resolve([video.duration, video.videoWidth, video.videoHeight,
                                 video.webkitAudioDecodedByteCount > 0]);
  video.src = "NAME"; video.playbackRate = 4; video.play();
})
"""


@pytest.mark.slow
@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium on this machine")
def test_a_browser_plays_the_films_with_their_sound(tmp_path):
    times = [k / 10 for k in range(20)]
    source = films.write_with_sound(tmp_path / "a.avi", times, sound="pcm_s16le")
    (tmp_path / "page.html").write_text("<video>")
    options = ("--autoplay-policy=no-user-gesture-required",)
    with chromium.open_page(tmp_path / "profile", *options) as page:
        for name in ("drawn.mp4", "drawn.webm"):
            write(tmp_path / name, times, sound=source)
            page.open(tmp_path / "page.html")
            page.evaluate(f"window.found = null, {PLAYED}.then(one => window.found = one), 0"
                          .replace("NAME", name))  # fmt: skip
            duration, *size, has_sound = page.wait("window.found", 20)
            assert duration == pytest.approx(2.3, abs=0.1)
            assert size == [64, 48]
            assert has_sound

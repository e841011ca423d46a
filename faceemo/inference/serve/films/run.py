"""Prediction on one film: its table, its faces, and the film with the faces drawn into it."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from faceemo.analysis.theme import template
from faceemo.analysis.theme.text import shorten
from faceemo.inference import formats
from faceemo.inference.annotate import annotate
from faceemo.inference.file_kinds import FILM, IMAGE, recognise
from faceemo.inference.film.animation import Animation
from faceemo.inference.film.plot import write_plot
from faceemo.inference.film.summary import FilmRecord, format_csv
from faceemo.inference.film.video import Video
from faceemo.inference.film.writer import write_film
from faceemo.inference.inputs import Input
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor
from faceemo.inference.read_input import open_film
from faceemo.inference.serve.decode_upload import describe_damage
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.films.film import Film
from faceemo.inference.serve.films.schemas import FilmTrack
from faceemo.inference.serve.preview import make_thumbnail

_TITLE = 60  # characters of a film's name above its plot
FRAMES_PER_SECOND = 5.0  # that are predicted on by default
FORMAT_NAMES = "MP4, MOV, WebM, MKV, AVI or GIF"


class CancelledError(Exception):
    """The film was cancelled."""


def run(predictor: Predictor, film: Film) -> None:
    """Predicts on a film and writes its results.

    Raises:
        ApiError: If the file is no film, or none of its frames can be decoded.
        CancelledError: If the film is cancelled.
    """
    if film.cancel.is_set():
        raise CancelledError
    source = _open(film)
    film.every = film.every or max(1, round(source.fps / FRAMES_PER_SECOND))
    source.every, source.name = film.every, film.name
    film.frame_count = source.frame_count
    record = FilmRecord(predictor.classes, source.every / source.fps)
    pictures = _Pictures()
    frames = _read_frames(film, source)
    with (
        film.get_result("predictions.csv").open("w", encoding="utf-8", newline="\n") as table,
        write_film(film.get_result("film.mp4"), source.fps / source.every, source.sound) as drawn,
    ):
        writer = formats.Writer("csv", predictor.classes, table)
        for image, predictions in predictor.stream(frames):
            if image.pixels is None:
                film.problem = describe_damage(image.problem)
                writer.write(predictions)
                continue
            writer.write(predictions)
            record.add(image.time or 0.0, predictions)
            pictures.add(image, predictions)
            rgb = np.ascontiguousarray(image.pixels.bgr[..., ::-1])
            drawn.write(annotate(rgb, predictions, image.pixels.reduction), image.time or 0.0)
        writer.end()
    tracks = record.summarise()
    summary = format_csv(tracks, record.classes)
    film.get_result("faces.csv").write_text(summary, encoding="utf-8", newline="\n")
    write_plot(record, tracks, shorten(film.name, _TITLE), film.get_result("faces.png"))
    film.problem = film.problem or drawn.sound_problem
    film.tracks = [
        FilmTrack(
            track=one.number,
            begin=round(one.begin, 3),
            end=round(one.end, 3),
            seconds=round(one.seconds, 3),
            frames=one.frames,
            shares=one.shares,
            thumbnail=template.jpeg_uri(pictures.best[one.number]),
        )
        for one in tracks
    ]


def check(film: Film) -> None:
    """Checks that a file that has arrived is a film that opens.

    Raises:
        ApiError: If it is not.
    """
    _open(film)


class _Pictures:
    """One picture of each face of a film: where the detector is surest of it.

    Attributes:
        best: The JPEGs, by track.
    """

    def __init__(self):
        self.best: dict[int, bytes] = {}
        self._confidence: dict[int, float] = {}

    def add(self, image: LoadedImage, predictions: Sequence[Prediction]) -> None:
        """Takes the pictures of faces that are surer than before."""
        assert image.pixels is not None
        for one in predictions:
            confidence = one.face_confidence or 0.0
            if one.track is None or one.region is None:
                continue
            if confidence > self._confidence.get(one.track, -1.0) + 0.01:
                self._confidence[one.track] = confidence
                self.best[one.track] = make_thumbnail(image.pixels, one.region)


def _open(film: Film) -> Video | Animation:
    """Opens a film with a step of one frame.

    Raises:
        ApiError: If it cannot be opened.
    """
    content = recognise(film.path)
    if content.kind != FILM:
        raise ApiError(
            415,
            "no_film",
            expected=f"a film: {FORMAT_NAMES}, recognised by content, not by name",
            found="a photograph" if content.kind == IMAGE else "a file of another format",
            fix="send a photograph to /api/predict; save a film as MP4 (H.264)",
        )
    source = open_film(Input(film.path, content), 1, 0)
    if isinstance(source, Input):
        raise _make_damaged_error(source.content.reason)
    return source


def _read_frames(film: Film, source: Video | Animation) -> Iterator[LoadedImage]:
    """Yields the frames and counts them.

    Raises:
        ApiError: If there is not even one.
        CancelledError: If the film is cancelled meanwhile.
    """
    frames = source.read_frames()
    first = next(frames, None)
    if first is None or first.pixels is None:
        raise _make_damaged_error(first.problem if first else "a film without frames")
    for image in itertools.chain([first], frames):
        if film.cancel.is_set() or film.is_forgotten:
            raise CancelledError
        yield image
        film.frames += image.pixels is not None


def _make_damaged_error(problem: str) -> ApiError:
    return ApiError(
        422,
        "damaged",
        expected="a film that can be read",
        found=describe_damage(problem),
        fix="check that a player shows it, and save it as MP4 (H.264)",
    )

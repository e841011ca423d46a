"""Prediction over many files: what is written where, and what could not be read."""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.errors import UserError
from faceemo.inference import formats, output_paths, video
from faceemo.inference.annotate import annotate
from faceemo.inference.images import Picture, files_below, picture_at
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor, load
from faceemo.inference.smoothing import Smoother
from faceemo.inference.video import Video, is_video

UNREADABLE = 1  # exit code


def predict(
    run: Path,
    inputs: Sequence[Path],
    *,
    webcam: int | None,
    crops: bool,
    form: str,
    out: Path | None,
    draw: Path | None,
    every: int,
    smooth: float,
) -> int:
    """Answers on all inputs, written as they come; returns the exit code.

    Args:
        run: folder of the run.
        inputs: that exist: images, videos, folders of both.
        webcam: its index, or None.
        crops: whether every image is a face as it is.
        form: of `formats.FORMATS`.
        out: file for the answers; None is the terminal.
        draw: where annotated pictures go: a folder for images, a file for a video; None for none.
        every: of so many frames of a video one is looked at.
        smooth: of `Smoother`.

    Raises:
        UserError: if nothing can be done; nothing is written then.
    """
    files = [file for path in inputs for file in files_below(path, video.SUFFIXES)]
    films = [file for file in files if is_video(file)]
    images = [file for file in files if not is_video(file)]
    if out:
        output_paths.check_file("--out", out, [run, *files])
    if draw:
        _check_drawn(draw, images, films, len(films) + (webcam is not None))
    camera = None if webcam is None else Video(webcam, every)
    predictor = load(run)
    unreadable: list[str] = []
    with _lines(out) as stream:
        head, line = formats.formatter(form, predictor.classes)
        if head:
            print(head, file=stream)

        def tell(answers: Iterable[Prediction]) -> None:
            for one in answers:
                print(line(one), file=stream, flush=stream is sys.stdout)

        # no bar where answers run over the terminal, nor where nobody looks
        quiet = True if stream is sys.stdout and stream.isatty() else None
        session = _Session(predictor, crops, tell, draw, quiet)
        if images:
            unreadable += session.images(images)
        for path in films:
            try:
                film = Video(path, every)
            except UserError:
                unreadable.append(f"{path}: not a video that OpenCV can open")
            else:
                unreadable += session.film(film, Smoother(smooth))
        if camera:
            unreadable += session.film(camera, Smoother(smooth))
    for place in (out, draw):
        if place and place.exists():
            print(f"wrote {place}", file=sys.stderr)
    if unreadable:
        print(f"{len(unreadable)} not read:", *unreadable, sep="\n  ", file=sys.stderr)
    return UNREADABLE if unreadable else 0


@dataclasses.dataclass(frozen=True)
class _Session:
    """What is done with each picture; methods yield what could not be read.

    Attributes:
        predictor: that answers.
        crops: as of `predict`, like `draw`.
        tell: takes the answers on a picture.
        draw: where annotated pictures go.
        quiet: whether no progress is shown; None where nobody would see it.
    """

    predictor: Predictor
    crops: bool
    tell: Callable[[Iterable[Prediction]], None]
    draw: Path | None
    quiet: bool | None

    def images(self, files: Sequence[Path]) -> Iterator[str]:
        """One after the other."""
        names: set[str] = set()
        pictures = itertools.starmap(picture_at, enumerate(files))
        answered = self.predictor.stream(pictures, crops=self.crops)
        for picture, answers in tqdm(
            answered, "faces", len(files), unit="image", disable=self.quiet
        ):
            if picture.pixels is None:
                yield f"{picture.name}: {picture.problem}"
                continue
            self.tell(answers)
            if self.draw:
                drawn = Image.fromarray(annotate(_rgb(picture), answers))
                with staging.file(self.draw / unused(Path(picture.name), names)) as partial:
                    drawn.save(partial)

    def film(self, film: Video, smoother: Smoother) -> Iterator[str]:
        """Frame by frame, to its end; a live one has none but Ctrl-C."""
        answered = self.predictor.stream(film.pictures(), crops=self.crops, prompt=film.live)
        writing = (
            video.written(self.draw, film.fps / film.every)
            if self.draw
            else contextlib.nullcontext()
        )
        ends = (KeyboardInterrupt,) if film.live else ()
        with writing as write, contextlib.suppress(*ends):
            for picture, answers in tqdm(
                answered, "frames", film.frames, unit="frame", disable=self.quiet
            ):
                if picture.pixels is None:
                    yield f"{picture.name}: {picture.problem}"
                    continue
                answers = smoother.smooth(answers)
                self.tell(answers)
                if write:
                    write(annotate(_rgb(picture), answers))


def unused(path: Path, names: set[str]) -> str:
    """A name for the PNG about an image; images of one name in several folders get numbers."""
    name = path.stem
    number = 2
    while name in names:
        name = f"{path.stem}-{number}"
        number += 1
    names.add(name)
    return f"{name}.png"


def _check_drawn(draw: Path, images: Sequence[Path], films: Sequence[Path], videos: int) -> None:
    """Before any work: images are drawn into a folder, one video alone into a video.

    Raises:
        UserError: if `draw` is the other, or an input.
    """
    if is_video(draw) != bool(videos) or videos > 1 or (videos and images):
        raise UserError(
            expected="--draw with a folder for images alone, or with an .mp4 for one video alone",
            found=f"{draw} for {len(images)} images and {videos} videos",
            fix="name the images, or one of the videos, with the place that fits",
        )
    check = output_paths.check_file if videos else output_paths.check_folder
    check("--draw", draw, [*films, *images])


def _rgb(picture: Picture) -> np.ndarray:
    assert picture.pixels is not None
    return np.ascontiguousarray(picture.pixels.bgr[..., ::-1])


@contextlib.contextmanager
def _lines(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with staging.file(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file

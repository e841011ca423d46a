"""Prediction over many files: what is written where, and what could not be read."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.errors import UserError
from faceemo.inference import tables, targets, video
from faceemo.inference.annotate import annotate
from faceemo.inference.images import Picture, files_below, pictures_of
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor, load
from faceemo.inference.smoothing import Smoother

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
        inputs: that exist: images, videos, folders of images.
        webcam: its index, or None.
        crops: whether every image is a face as it is.
        form: of `tables.FORMATS`.
        out: file for the answers; None is the terminal.
        draw: where annotated pictures go: a folder for images, a file for a video; None for none.
        every: of so many frames of a video one is looked at.
        smooth: of `Smoother`.

    Raises:
        UserError: if nothing can be done; nothing is written then.
    """
    films = [path for path in inputs if path.suffix.lower() in video.SUFFIXES]
    sources: list[Path | int] = [*films, *([] if webcam is None else [webcam])]
    files = [file for path in inputs if path not in films for file in files_below(path)]
    if draw and (draw.suffix.lower() in video.SUFFIXES) != (len(sources) == 1 and not files):
        raise UserError(
            expected="--draw with a folder for images, or with an .mp4 for one video",
            found=f"{draw} for {len(files)} images and {len(sources)} videos",
            fix="give the one that fits; several videos one after the other",
        )
    if out:
        targets.check_file("--out", out, [run, *films, *files])
    if draw:
        check = targets.check_file if sources else targets.check_folder
        check("--draw", draw, [*films, *files])
    predictor = load(run)
    unreadable: list[str] = []
    with _lines(out) as stream:
        head, line = tables.formatter(form, predictor.classes)
        if head:
            print(head, file=stream)

        def tell(answers: Iterable[Prediction]) -> None:
            for one in answers:
                print(line(one), file=stream, flush=stream is sys.stdout)

        if files:
            unreadable += _images(predictor, files, crops, tell, draw)
        for source in sources:
            unreadable += _film(
                predictor, video.Video(source, every), crops, Smoother(smooth), tell, draw
            )
    for place in (out, draw):
        if place:
            print(f"wrote {place}", file=sys.stderr)
    if unreadable:
        print(f"{len(unreadable)} not read:", *unreadable, sep="\n  ", file=sys.stderr)
    return UNREADABLE if unreadable else 0


def _images(
    predictor: Predictor,
    files: Sequence[Path],
    crops: bool,
    tell: Callable[[Iterable[Prediction]], None],
    draw: Path | None,
) -> Iterator[str]:
    names: set[str] = set()
    answered = predictor.stream(pictures_of(files), crops=crops)
    for picture, answers in tqdm(answered, "faces", len(files), unit="image", disable=_quiet()):
        if picture.pixels is None:
            yield f"{picture.name}: {picture.problem}"
            continue
        tell(answers)
        if draw:
            drawn = Image.fromarray(annotate(_rgb(picture), answers))
            with staging.file(draw / unused(Path(picture.name), names)) as partial:
                drawn.save(partial)


def _film(
    predictor: Predictor,
    film: video.Video,
    crops: bool,
    smoother: Smoother,
    tell: Callable[[Iterable[Prediction]], None],
    draw: Path | None,
) -> Iterator[str]:
    answered = predictor.stream(film.pictures(), crops=crops, prompt=film.live)
    writing = video.written(draw, film.fps / film.every) if draw else contextlib.nullcontext()
    with writing as write, contextlib.suppress(KeyboardInterrupt):
        for picture, answers in tqdm(
            answered, "frames", film.frames, unit="frame", disable=_quiet()
        ):
            if picture.pixels is None:
                yield f"{picture.name}: {picture.problem}"
                continue
            answers = smoother.smooth(answers)
            tell(answers)
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


def _rgb(picture: Picture) -> np.ndarray:
    assert picture.pixels is not None
    return np.ascontiguousarray(picture.pixels.bgr[..., ::-1])


def _quiet() -> bool | None:
    """No bar where answers run over the terminal, nor where nobody looks."""
    return True if sys.stdout.isatty() else None


@contextlib.contextmanager
def _lines(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with staging.file(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file

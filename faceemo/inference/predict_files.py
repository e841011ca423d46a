"""Prediction on many files: images, videos and a webcam, with output as each is read."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.errors import escape_name
from faceemo.inference import formats, output_paths
from faceemo.inference.engine.names import AUTO
from faceemo.inference.file_kinds import FILM, OTHER
from faceemo.inference.film.animation import Animation
from faceemo.inference.film.following import INTERVAL
from faceemo.inference.film.smoothing import Smoother
from faceemo.inference.film.summary import FilmRecord, format_csv
from faceemo.inference.film.video import Video
from faceemo.inference.inputs import Input, describe_others, find_inputs, refuse_others_alone
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor, load
from faceemo.inference.read_input import open_film, read_input

UNREADABLE = 1  # exit code
# Of a video whose number of frames is known.
_BAR = "{l_bar}{bar}| {n_fmt} of {total_fmt} frames, {rate_fmt}, {remaining} left"


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
    summary: Path | None = None,
    face_threshold: float | None = None,
    min_face: float | None = None,
    classes: Sequence[str] | None = None,
    engine: str = AUTO,
    check_faces: bool = True,
    search_interval: float = INTERVAL,
) -> int:
    """Predicts on all inputs and writes the predictions as they come.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        inputs: Existing paths of images, of videos and of folders of both.
        webcam: The index of a webcam, or None.
        crops: Whether every image is a face crop, so that no face is searched for.
        form: The format of the predictions, one of `formats.FORMATS`.
        out: The file for the predictions; None prints them.
        draw: The place of annotated inputs: a folder, or a video file for one video alone; None
            draws none.
        every: The step between the frames of a video that are predicted on.
        smooth: The decay of `Smoother`.
        summary: The folder for a table and a plot of each video's faces; None writes none.
        face_threshold: Confidence above which a detection is a face, see `predictor.load`.
        min_face: Height of the smallest faces, pixels, see `predictor.load`.
        classes: The classes to which predictions are restricted; None keeps all.
        engine: What runs the network, see `predictor.load`.
        check_faces: Whether each face is checked, see `predictor.load`.
        search_interval: Seconds between searches of a video, see `predictor.load`.

    Returns:
        The exit code: `UNREADABLE` if some inputs could not be read, otherwise 0.

    Raises:
        UserError: If nothing can be done; nothing is written then.
    """
    found = find_inputs(inputs)
    videos = [one for one in found if one.kind == FILM]
    images = [one for one in found if one.kind not in (FILM, OTHER)]
    if webcam is None:
        refuse_others_alone(None, found)
    if out:
        output_paths.check_file("--out", out, [run, *(one.path for one in found)])
    paths = [one.path for one in found if one.kind != OTHER]
    video_count = len(videos) + (webcam is not None)
    if draw:
        output_paths.check_draw(draw, paths, len(images), video_count)
    if summary:
        output_paths.check_summary(summary, paths, len(images), video_count)
    camera = None if webcam is None else Video(webcam, every)
    predictor = load(
        run,
        face_threshold=face_threshold,
        min_face=min_face,
        classes=classes,
        engine=engine,
        check_faces=check_faces,
        search_interval=search_interval,
    )
    problems: list[str] = []
    with _open_output(out) as stream:
        writer = formats.Writer(form, predictor.classes, stream)
        # no bar where predictions run over the terminal, nor where no terminal shows it
        hide_progress = True if stream is sys.stdout and stream.isatty() else None
        files_predictor = _FilesPredictor(
            predictor, crops, writer.write, draw, summary, hide_progress
        )
        if images:
            problems += files_predictor.predict_images(images, 0)
        index = len(images)
        for one in videos:
            opened = open_film(one, every, index)
            if isinstance(opened, Input):
                problems += files_predictor.predict_images([opened], index)
                index += 1
            else:
                problems += files_predictor.predict_video(opened, Smoother(smooth))
                index = opened.next_index
        if camera:
            camera.start = index
            problems += files_predictor.predict_video(camera, Smoother(smooth))
        writer.end()
    for path in (out, draw, summary):
        if path and path.exists():
            print(f"wrote {escape_name(path)}", file=sys.stderr)
    if files_predictor.colourless:
        print(describe_colourless(files_predictor.colourless), file=sys.stderr)
    if skipped := describe_others(found):
        count = sum(one.kind == OTHER for one in found)
        print(f"{count} skipped:", *skipped, sep="\n  ", file=sys.stderr)
    if problems:
        print(f"{len(problems)} could not be read:", *problems, sep="\n  ", file=sys.stderr)
    return UNREADABLE if problems else 0


@dataclasses.dataclass(frozen=True)
class _FilesPredictor:
    """Predicts on files and writes the results.

    The methods yield a message for each input that cannot be read.

    Attributes:
        predictor: The predictor.
        crops: Whether every image is a face crop, so that no face is searched for.
        write: The function that writes the predictions for one image.
        draw: The place of annotated inputs, as in `predict`.
        summary: The folder for what is known about the faces of videos, as in `predict`.
        hide_progress: Whether no progress bar is shown; None shows it on a terminal.
        drawn: The names of the files in the folder `draw`, without suffix.
        colourless: The names of images without colour, if the network learned from colour.
        summarised: Those of the tables in the folder `summary`.
    """

    predictor: Predictor
    crops: bool
    write: Callable[[Iterable[Prediction]], None]
    draw: Path | None
    summary: Path | None
    hide_progress: bool | None
    drawn: set[str] = dataclasses.field(default_factory=set)
    colourless: list[str] = dataclasses.field(default_factory=list)
    summarised: set[str] = dataclasses.field(default_factory=set)

    def predict_images(self, files: Sequence[Input], start: int) -> Iterator[str]:
        """Predicts on image files, one after the other; `start` is the index of the first."""
        images = (
            image for index, one in enumerate(files, start) for image in read_input(one, index)
        )
        predicted = self.predictor.stream(images, crops=self.crops)
        for image, predictions in tqdm(
            predicted, "faces", len(files), unit="image", disable=self.hide_progress
        ):
            self.write(predictions)
            self.colourless.extend(list_colourless(self.predictor, image))
            if image.pixels is None:
                yield _describe_problem(image)
            elif self.draw:
                drawn = Image.fromarray(_annotate(image, predictions))
                with staging.file(self._name_drawn(self.draw, image.name, ".png")) as partial:
                    drawn.save(partial)

    def predict_video(self, source: Video | Animation, smoother: Smoother) -> Iterator[str]:
        """Predicts frame by frame until the video ends, or Ctrl-C ends a webcam."""
        predicted = self.predictor.stream(
            source.read_frames(), crops=self.crops, immediate=source.live
        )
        drawing = self._write_film(source)
        record = FilmRecord(self.predictor.classes, source.every / source.fps)
        count = source.frame_count
        ends = (KeyboardInterrupt,) if source.live else ()
        with drawing as film, contextlib.suppress(*ends):
            for image, predictions in tqdm(
                *(predicted, "frames", count),
                unit="frame",
                disable=self.hide_progress,
                bar_format=_BAR if count else None,
            ):
                if image.pixels is None:
                    self.write(predictions)
                    yield _describe_problem(image)
                    continue
                self.colourless.extend(list_colourless(self.predictor, image))
                predictions = smoother.smooth(predictions)
                self.write(predictions)
                if self.summary:
                    record.add(image.time or 0.0, predictions)
                if film:
                    film.write(_annotate(image, predictions), image.time or 0.0)
        if film and film.sound_problem:
            yield f"{escape_name(source.name)}: {film.sound_problem}"
        if self.summary:
            self._summarise(record, source.name, self.summary)

    def _summarise(self, record: FilmRecord, name: str, folder: Path) -> None:
        """Writes a table and a plot of a video's faces."""
        # It imports matplotlib, which takes time.
        from faceemo.inference.film.plot import write_plot

        table = folder / output_paths.unique_name(Path(name), "_faces.csv", self.summarised)
        tracks = record.summarise()
        with staging.file(table) as partial:
            partial.write_text(format_csv(tracks, record.classes), encoding="utf-8", newline="\n")
        write_plot(record, tracks, Path(name).name, table.with_suffix(".png"))

    def _write_film(self, source: Video | Animation) -> contextlib.AbstractContextManager[Any]:
        """Returns the context of a `FilmWriter`, or of None if no film is drawn."""
        if not self.draw:
            return contextlib.nullcontext()
        # Its package is read from the disk only where it is needed.
        from faceemo.inference.film.writer import write_film

        place = self._name_drawn(self.draw, source.name, ".mp4")
        return write_film(place, source.fps / source.every, source.sound)

    def _name_drawn(self, draw: Path, name: str, suffix: str) -> Path:
        """Returns the file that an input is drawn into: `draw` itself if it names a video."""
        if output_paths.names_film(draw):
            return draw
        return draw / output_paths.unique_name(Path(name), suffix, self.drawn)


def list_colourless(predictor: Predictor, image: LoadedImage) -> list[str]:
    """Returns the image's name if it has no colour but the network learned from images in colour.

    Otherwise the list is empty.
    """
    if image.pixels is None or not predictor.network.image_format.in_colour:
        return []
    return [] if image.pixels.has_colour else [image.name]


def describe_colourless(names: Sequence[str]) -> str:
    """Tells in one line that a network which learned from colour was given images without any."""
    one = len(names) == 1
    return (
        f"{'1 image has' if one else f'{len(names):,} images have'} no colour ("
        f"{escape_name(names[0])}{'' if one else ', ...'}), but the network learned from images in "
        "colour: its predictions there may be worse"
    )


def _describe_problem(image: LoadedImage) -> str:
    return f"{escape_name(image.name)}: {escape_name(image.problem)}"


def _annotate(image: LoadedImage, predictions: Sequence[Prediction]) -> np.ndarray:
    """Draws the predictions into a decoded image, as `annotate.annotate`."""
    # It imports matplotlib for its font, which predictions without --draw need not wait for.
    from faceemo.inference.annotate import annotate

    assert image.pixels is not None
    rgb = np.ascontiguousarray(image.pixels.bgr[..., ::-1])
    return annotate(rgb, predictions, image.pixels.reduction)


@contextlib.contextmanager
def _open_output(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with staging.file(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file

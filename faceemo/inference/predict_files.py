"""Prediction on many files: images, videos and a webcam, with output as each is read."""

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
from faceemo.inference.images import LoadedImage, find_files, load_image
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
    """Predicts on all inputs and writes the predictions as they come.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        inputs: Existing paths of images, of videos and of folders of both.
        webcam: The index of a webcam, or None.
        crops: Whether every image is a face crop, so that no face is searched for.
        form: The format of the predictions, one of `formats.FORMATS`.
        out: The file for the predictions; None prints them.
        draw: The place of annotated images: a folder for images, a file for a video; None draws
            none.
        every: The step between the frames of a video that are predicted on.
        smooth: The decay of `Smoother`.

    Returns:
        The exit code: `UNREADABLE` if some inputs could not be read, otherwise 0.

    Raises:
        UserError: If nothing can be done; nothing is written then.
    """
    files = [file for path in inputs for file in find_files(path, video.SUFFIXES)]
    videos = [file for file in files if is_video(file)]
    images = [file for file in files if not is_video(file)]
    if out:
        output_paths.check_file("--out", out, [run, *files])
    if draw:
        _check_draw(draw, images, videos, len(videos) + (webcam is not None))
    camera = None if webcam is None else Video(webcam, every)
    predictor = load(run)
    problems: list[str] = []
    with _open_output(out) as stream:
        header, format_line = formats.make_formatter(form, predictor.classes)
        headings = iter([header] if header else [])

        def write(predictions: Iterable[Prediction]) -> None:
            for one in predictions:
                lines = [*headings, format_line(one)]  # the header before the first only
                print(*lines, sep="\n", file=stream, flush=stream is sys.stdout)

        # no bar where predictions run over the terminal, nor where no terminal shows it
        hide_progress = True if stream is sys.stdout and stream.isatty() else None
        files_predictor = _FilesPredictor(predictor, crops, write, draw, hide_progress)
        if images:
            problems += files_predictor.predict_images(images)
        for path in videos:
            try:
                opened = Video(path, every)
            except UserError:
                problems.append(f"{path}: a video that OpenCV cannot open")
            else:
                problems += files_predictor.predict_video(opened, Smoother(smooth))
        if camera:
            problems += files_predictor.predict_video(camera, Smoother(smooth))
        if form == "csv":  # its readers need the header even if no row follows
            stream.writelines(f"{line}\n" for line in headings)
    for path in (out, draw):
        if path and path.exists():
            print(f"wrote {path}", file=sys.stderr)
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
        draw: The place of annotated images, as in `predict`.
        hide_progress: Whether no progress bar is shown; None shows it on a terminal.
    """

    predictor: Predictor
    crops: bool
    write: Callable[[Iterable[Prediction]], None]
    draw: Path | None
    hide_progress: bool | None

    def predict_images(self, files: Sequence[Path]) -> Iterator[str]:
        """Predicts on image files, one after the other."""
        names: set[str] = set()
        images = itertools.starmap(load_image, enumerate(files))
        predicted = self.predictor.stream(images, crops=self.crops)
        for image, predictions in tqdm(
            predicted, "faces", len(files), unit="image", disable=self.hide_progress
        ):
            if image.pixels is None:
                yield f"{image.name}: {image.problem}"
                continue
            self.write(predictions)
            if self.draw:
                drawn = Image.fromarray(_annotate(image, predictions))
                with staging.file(self.draw / unique_png(Path(image.name), names)) as partial:
                    drawn.save(partial)

    def predict_video(self, source: Video, smoother: Smoother) -> Iterator[str]:
        """Predicts frame by frame until the video ends, or Ctrl-C ends a webcam."""
        predicted = self.predictor.stream(
            source.read_frames(), crops=self.crops, immediate=source.live
        )
        drawing = (
            video.write_video(self.draw, source.fps / source.every)
            if self.draw
            else contextlib.nullcontext()
        )
        ends = (KeyboardInterrupt,) if source.live else ()
        with drawing as draw_frame, contextlib.suppress(*ends):
            for image, predictions in tqdm(
                predicted, "frames", source.frame_count, unit="frame", disable=self.hide_progress
            ):
                if image.pixels is None:
                    yield f"{image.name}: {image.problem}"
                    continue
                predictions = smoother.smooth(predictions)
                self.write(predictions)
                if draw_frame:
                    draw_frame(_annotate(image, predictions))


def unique_png(path: Path, names: set[str]) -> str:
    """Names the PNG for an image; images of one name in several folders get numbers.

    Args:
        path: The image's path.
        names: The names in use, without suffix; the new one is added.
    """
    name = path.stem
    number = 2
    while name in names:
        name = f"{path.stem}-{number}"
        number += 1
    names.add(name)
    return f"{name}.png"


def _check_draw(
    draw: Path, images: Sequence[Path], videos: Sequence[Path], video_count: int
) -> None:
    """Checks that images are drawn into a folder, and a single video into a video.

    Args:
        draw: The place of the annotated images.
        images: The image files.
        videos: The video files.
        video_count: The number of videos, a webcam included.

    Raises:
        UserError: If `draw` does not fit the inputs, or would overwrite one.
    """
    mixed = video_count and images
    if is_video(draw) != bool(video_count) or video_count > 1 or mixed:
        raise UserError(
            expected="--draw with a folder for images alone, or with an .mp4 for one video alone",
            found=f"{draw} for {len(images)} images and {video_count} videos",
            fix="name only the images, or one of the videos, with a fitting --draw",
        )
    check = output_paths.check_file if video_count else output_paths.check_folder
    check("--draw", draw, [*videos, *images])


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

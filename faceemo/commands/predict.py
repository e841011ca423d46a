"""The commands `faceemo predict` and `explain`, which take images."""

import argparse
import shlex
from pathlib import Path

from faceemo import errors
from faceemo.assets import builtin
from faceemo.commands.network import (
    add_classes,
    add_engine,
    add_network,
    add_search,
    expand,
    tell_more,
)
from faceemo.commands.parser import (
    FAILURE_CODES,
    Command,
    fraction,
    non_negative_float,
    positive_int,
    whole_number,
)
from faceemo.inference.formats import FORMATS
from faceemo.train.checkpoint import model_file, run_folders

_PREDICT = """Predicts the emotions of the faces in images, videos or a webcam's frames.

    faceemo predict builtin photo.jpg holiday/ 'more/*.png'
    faceemo predict checkpoints/vgg16-7 film.mp4 --every 5 --smooth 0.6 --draw film_faces.mp4
    faceemo predict builtin film.mp4 --out faces.csv --format csv --summary film_summary
    faceemo predict checkpoints/vgg16-7 --webcam 0 --format jsonl

All faces of a photo are found; an image that one face fills is taken as it is. A folder stands for
all images and videos in and below it, linked folders included; the content of a file decides what
it is, and animated images are videos. Files of other kinds are listed as skipped. A prediction that
is more likely wrong than right is called 'unsure', and so is that for a face that is unclear,
turned, blurred or too small; what turns out to be no face is left out.
"""
_EXPLAIN = """Draws the evidence for each face's most probable emotion: one figure per face.

    faceemo explain builtin photo.jpg faces/

Grad-CAM shows where the network's last convolution found evidence; the occlusion map shows how much
the probability falls when a patch of the face's mean grey or colour covers a place.
The figures are written into the folder 'explained' unless --out names another.
"""


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_images(parser)
    parser.add_argument(
        "--webcam",
        type=whole_number,
        metavar="INDEX",
        help="the webcam, 0 for the first; Ctrl-C ends it",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="form of the predictions"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write predictions into FILE, not to the terminal"
    )
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="PLACE",
        help="write annotated images and videos into this folder, which must hold no input, or one "
        "video into this .mp4 or .webm",
    )
    parser.add_argument(
        "--every",
        type=positive_int,
        default=1,
        metavar="N",
        help="take every N-th frame of a video",
    )
    parser.add_argument(
        "--search-interval",
        type=non_negative_float,
        default=0.2,
        metavar="SECONDS",
        help="for videos: search a frame for all faces after this time, and follow those that were "
        "found in the frames between (default: %(default)s); 0 searches every frame",
    )
    parser.add_argument(
        "--smooth",
        type=fraction,
        default=0.0,
        metavar="S",
        help="for videos: the share of a face's probabilities that is kept from frame to frame, "
        "from 0 (off) to below 1",
    )
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FOLDER",
        help="for videos: write a table and a plot of each face's emotions over time into FOLDER",
    )
    add_engine(parser)


def _predict(options: argparse.Namespace) -> int:
    inputs = _find_inputs("predict", options, webcam=options.webcam)
    if options.verbose:
        tell_more()
    # Takes seconds, which a mistake need not wait for.
    from faceemo.inference import predict_files

    return predict_files.predict(
        options.run,
        inputs,
        webcam=options.webcam,
        crops=options.crops,
        form=options.format,
        out=options.out,
        draw=options.draw,
        every=options.every,
        smooth=options.smooth,
        summary=options.summary,
        face_threshold=options.face_threshold,
        min_face=options.min_face,
        classes=options.classes,
        engine=options.engine,
        check_faces=options.check_faces,
        search_interval=options.search_interval,
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    _add_images(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("explained"), metavar="FOLDER", help="folder for figures"
    )


def _explain(options: argparse.Namespace) -> int:
    inputs = _find_inputs("explain", options)
    from faceemo.inference import explain

    return explain.explain(
        options.run,
        inputs,
        options.out,
        crops=options.crops,
        face_threshold=options.face_threshold,
        min_face=options.min_face,
        classes=options.classes,
        check_faces=options.check_faces,
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a command that takes images."""
    add_network(parser)
    parser.add_argument("inputs", nargs="*", metavar="PATH", help="files, folders or patterns")
    parser.add_argument(
        "--crops",
        action="store_true",
        help="treat every image as a face crop; search for no faces in it",
    )
    add_search(parser)
    add_classes(parser)


def _find_inputs(name: str, options: argparse.Namespace, webcam: int | None = None) -> list[Path]:
    """Returns the paths of the inputs, which may be none beside a webcam.

    Args:
        name: Name of the command.
        options: Its options.
        webcam: Index of a webcam, or None.

    Raises:
        UserError: If none or no network is named, some do not exist, or options of the search for
            faces stand beside --crops.
    """
    if not options.inputs and webcam is None:
        network = _names_network(options.run)
        words = [str(options.run) if network else builtin.NAME, _example(options.run)]
        raise errors.UserError(
            expected="a network, then files or folders"
            + (", or --webcam INDEX" if name == "predict" else ""),
            found=f"{'the network ' * network}'{options.run}' alone",
            fix=f"name both: faceemo {name} {shlex.join(words)}",
        )
    _refuse_search_of_crops(options)
    return expand(options.inputs)


def _refuse_search_of_crops(options: argparse.Namespace) -> None:
    """Refuses options of the search for faces beside --crops, with which there is none.

    Raises:
        UserError: If both are given.
    """
    given = [
        name
        for name, value in (
            ("--face-threshold", options.face_threshold),
            ("--min-face", options.min_face),
        )
        if value is not None
    ]
    if options.crops and given:
        raise errors.UserError(
            expected="--crops, with which no face is searched for, or options of the search",
            found=f"--crops and {' and '.join(given)}",
            fix="leave one of them out",
        )


def _names_network(path: Path) -> bool:
    """Returns whether a path names a trained network: a run's folder, a stored one, or builtin."""
    return model_file.names_stored(path) or run_folders.is_run(path)


def _example(path: Path) -> str:
    """Returns the path of an image for an example: the user's if a file was named first."""
    return str(path) if path.is_file() and path.suffix != ".npz" else "photo.jpg"


_SOME_UNREADABLE = (
    "0 if all was done; 1 if some images or videos could not be read, which are listed at the end; "
    + FAILURE_CODES
)
COMMANDS = (
    Command(
        "predict",
        "predict the emotions of faces in images, videos or a webcam",
        _PREDICT,
        _add_predict,
        _predict,
        _SOME_UNREADABLE,
        intermixed=True,
    ),
    Command(
        "explain",
        "draw where in each face the evidence for its emotion is",
        _EXPLAIN,
        _add_explain,
        _explain,
        _SOME_UNREADABLE,
        intermixed=True,
    ),
)

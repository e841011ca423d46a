"""The commands `faceemo predict`, `explain`, `export` and `serve`."""

import argparse
import glob
import shlex
from collections.abc import Sequence
from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import (
    FAILURE_CODES,
    Command,
    fraction,
    port,
    positive_float,
    positive_int,
    whole_number,
)
from faceemo.inference.formats import FORMATS

# The keys of `export.FORMATS`, whose import takes seconds.
EXPORTS = ("stablehlo", "onnx", "tflite", "keras", "npz")

_PREDICT = """Predicts the emotions of the faces in images, videos or a webcam's frames.

    faceemo predict builtin photo.jpg holiday/ 'more/*.png'
    faceemo predict checkpoints/vgg16-7 film.mp4 --every 5 --smooth 0.6 --draw film_faces.mp4
    faceemo predict checkpoints/vgg16-7 --webcam 0 --format jsonl

All faces of a photo are found; an image that one face fills is taken as it is. A folder stands for
all images and videos in and below it, linked folders included; the content of a file decides what
it is, and animated images are videos. Files of other kinds are listed as skipped. A prediction that
is more likely wrong than right is called 'unsure'.
"""
_EXPLAIN = """Draws the evidence for each face's most probable emotion: one figure per face.

    faceemo explain builtin photo.jpg faces/ --out explained

Grad-CAM shows where the network's last convolution found evidence; the occlusion map shows how much
the probability falls when a grey patch covers a place.
"""

_EXPORT = """Writes the network for another program, and compares both on the same faces.

    faceemo export checkpoints/vgg16-7 --format onnx --out model.onnx --faces data/unique_images

Files take grey face crops as uint8, S pixels wide and high (usually 48), and return calibrated
probabilities:
    stablehlo, onnx   [N, S, S], for any number N of faces
    keras (.h5)       [N, S, S, 1]
    tflite            [1, S, S, 1], one face at a time; resize_tensor_input makes it [N, S, S, 1]
npz holds the weights and the preprocessing as data, for faceemo.load and for programs of your own.
FILE.json beside the file describes it: what it takes and returns, classes, and the comparison. A
file whose probabilities differ from the network's is not written.
"""

_SERVE = """Serves a web page and an HTTP API that predict on uploaded images.

    faceemo serve builtin
    curl -F file=@photo.jpg http://127.0.0.1:8000/api/predict

The page loads nothing from other addresses; /api describes the API. No image is stored. Only this
machine can reach the server unless --host is given; there is no login. Ctrl-C ends it.
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
        help="write annotated images into this folder, which must hold no input, or an annotated "
        "video into this .mp4",
    )
    parser.add_argument(
        "--every",
        type=positive_int,
        default=1,
        metavar="N",
        help="take every N-th frame of a video",
    )
    parser.add_argument(
        "--smooth",
        type=fraction,
        default=0.0,
        metavar="S",
        help="for videos: the share of a face's probabilities that is kept from frame to frame, "
        "from 0 (off) to below 1",
    )


def _predict(options: argparse.Namespace) -> int:
    if not options.inputs and options.webcam is None:
        raise errors.UserError(
            expected="a network, then files or folders, or --webcam INDEX",
            found=f"'{options.run}' alone",
            fix=f"name both: faceemo predict builtin {_example(options.run)}",
        )
    _refuse_search_of_crops(options)
    inputs = _expand(options.inputs)
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
        face_threshold=options.face_threshold,
        min_face=options.min_face,
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    _add_images(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder for the figures"
    )


def _explain(options: argparse.Namespace) -> int:
    if not options.inputs:
        raise errors.UserError(
            expected="a network, then files or folders",
            found=f"'{options.run}' alone",
            fix=f"name both: faceemo explain builtin {_example(options.run)} --out explained",
        )
    _refuse_search_of_crops(options)
    inputs = _expand(options.inputs)
    from faceemo.inference import explain

    return explain.explain(
        options.run,
        inputs,
        options.out,
        crops=options.crops,
        face_threshold=options.face_threshold,
        min_face=options.min_face,
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_network(parser)
    parser.add_argument("--format", required=True, choices=EXPORTS, help="the format to write")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--faces", nargs="+", required=True, metavar="PATH", help="images or folders to compare on"
    )


def _export(options: argparse.Namespace) -> int:
    faces = _expand(options.faces)
    from faceemo.inference.export import export

    print(export.export(options.run, options.format, options.out, faces))
    return 0


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_network(parser)
    _add_search(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=port, default=8000, help="port; 0 takes a free one")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="a host name by which browsers reach the server, such as a proxy's; may be repeated. "
        "Requests to other names are refused, except to those of this machine. Without --name, a "
        "server that other machines can reach accepts this machine's name and all IP addresses too",
    )
    parser.add_argument(
        "--max-mib",
        type=positive_float,
        default=10.0,
        metavar="N",
        help="largest upload, in MiB (default: %(default)g)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=positive_float,
        default=25.0,
        metavar="N",
        help="largest image, in millions of pixels (default: %(default)g, at most 268)",
    )
    parser.add_argument(
        "--timeout",
        type=positive_float,
        default=30.0,
        metavar="SECONDS",
        help="limit for the upload, and again for the response (default: %(default)g)",
    )
    parser.add_argument(
        "--waiting",
        type=positive_int,
        default=32,
        metavar="N",
        help="largest number of requests at a time; others are asked to retry later",
    )


def _serve(options: argparse.Namespace) -> int:
    from faceemo.inference.serve import server

    server.serve(
        options.run,
        host=options.host,
        port=options.port,
        extra_hosts=options.name,
        max_mib=options.max_mib,
        max_megapixels=options.max_megapixels,
        timeout=options.timeout,
        max_requests=options.waiting,
        face_threshold=options.face_threshold,
        min_face=options.min_face,
    )
    return 0


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="the network: a run's folder, such as checkpoints/vgg16-7; a stored model.npz; "
        "or 'builtin', the network that comes with faceemo",
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a command that takes images."""
    _add_network(parser)
    parser.add_argument("inputs", nargs="*", metavar="PATH", help="files, folders or patterns")
    parser.add_argument(
        "--crops",
        action="store_true",
        help="treat every image as a face crop; do not run the face detector",
    )
    _add_search(parser)


def _add_search(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the search for faces."""
    parser.add_argument(
        "--face-threshold",
        type=fraction,
        metavar="P",
        help="confidence of the face detector above which a detection is a face, from 0 to below 1 "
        "(default: that of the network's training images)",
    )
    parser.add_argument(
        "--min-face",
        type=positive_float,
        metavar="N",
        help="height in pixels, at least 16, of the smallest faces: photos are searched for them, "
        "and smaller ones are left out; large photos take less time with a larger N (default: "
        "search for faces as high as the network's training images, keep smaller ones too)",
    )


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


def _example(path: Path) -> str:
    """Returns the path of an image for an example: the user's if a file was named first."""
    return shlex.quote(str(path)) if path.is_file() and path.suffix != ".npz" else "photo.jpg"


def _expand(texts: Sequence[str]) -> list[Path]:
    """Returns the paths that are named or match a pattern.

    Raises:
        UserError: If some do not exist; the message names them all.
    """
    found: list[Path] = []
    missing = []
    for text in texts:
        # not pathlib, which takes no absolute patterns
        paths = [text] if Path(text).exists() else sorted(glob.glob(text, recursive=True))  # noqa: PTH207
        found += map(Path, paths)
        missing += [] if paths else [text]
    if missing:
        raise errors.UserError(
            expected="existing files or folders, or patterns that match some",
            found=f"nothing at {', '.join(missing)}",
            fix="correct these paths",
        )
    return found


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
    Command(
        "export",
        "write the network for another program, in ONNX for example",
        _EXPORT,
        _add_export,
        _export,
        # In argparse's own order, --faces would take RUN as one of its paths.
        usage="faceemo export [-h] RUN --format FORMAT --out FILE --faces PATH [PATH ...]",
    ),
    Command("serve", "serve a web page and an HTTP API", _SERVE, _add_serve, _serve),
)

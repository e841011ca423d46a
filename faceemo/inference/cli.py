"""The commands `faceemo predict`, `explain`, `export` and `serve`."""

import argparse
import contextlib
import glob
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from faceemo import errors
from faceemo.inference.formats import FORMATS

# The keys of `export.FORMATS`, whose import takes seconds.
EXPORTS = ("stablehlo", "onnx", "tflite", "keras", "npz")
# Exit codes after a signal, as shells have them; SIGPIPE has no name on Windows.
_SIGNAL_EXIT, _SIGPIPE = 128, 13

_PREDICT = """Predicts the emotions of the faces in images, videos or a webcam's frames.

    faceemo predict builtin photo.jpg holiday/ 'more/*.png'
    faceemo predict checkpoints/vgg16-7 film.mp4 --every 5 --smooth 0.6 --draw film_faces.mp4
    faceemo predict checkpoints/vgg16-7 --webcam 0 --format jsonl

All faces of a photo are found; an image that one face fills is taken as it is. A folder stands for
all images and videos in and below it. A prediction that is more likely wrong than right is
'unsure'. The exit code is 0; 1 if some files could not be read, which are listed at the end; 2 if
nothing could be done.
"""
_EXPLAIN = """Draws the evidence for each face's most probable emotion: one figure per face.

    faceemo explain builtin photo.jpg faces/ --out explained

Grad-CAM shows where the network's last convolution found evidence; the occlusion map shows how much
the probability falls when a grey patch covers a place.
"""

_EXPORT = """Writes the network for another program, and compares both on the same faces.

    faceemo export checkpoints/vgg16-7 --format onnx --out model.onnx --faces data/unique_images

stablehlo (JAX on any platform) and onnx take grey faces, uint8 [N, S, S]; tflite and keras (.h5)
take uint8 [N, S, S, 1]. All four return calibrated probabilities. npz holds the weights, with the
preprocessing as data. FILE.json beside the file describes it: classes, sizes, the comparison. A
file whose probabilities differ from the network's is not written.
"""

_SERVE = """Serves a web page and an HTTP API that predict on uploaded images.

    faceemo serve builtin
    curl -F file=@photo.jpg http://127.0.0.1:8000/api/predict

The page loads nothing from other addresses; /api describes the API. No image is stored. Only this
machine can reach the server unless --host is given; there is no login. Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names; returns the exit code."""
    parser = errors.ArgumentParser(
        prog="faceemo", description="Recognises emotions in face images with a trained network."
    )
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="see faceemo COMMAND --help")
    options = parser.parse_args(argv)
    return COMMANDS[options.command](options.rest)


def predict(argv: Sequence[str] | None = None) -> int:
    """Runs `faceemo predict`; returns the exit code."""
    parser = _make_image_parser("predict", _PREDICT)
    parser.add_argument(
        "--webcam", type=int, metavar="INDEX", help="the webcam, 0 for the first; Ctrl-C ends it"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s"
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
        type=_positive_int,
        default=1,
        metavar="N",
        help="take every N-th frame of a video (default: %(default)s)",
    )
    parser.add_argument(
        "--smooth",
        type=_fraction,
        default=0.0,
        metavar="S",
        help="for videos: the share of a face's probabilities that is kept from frame to frame, "
        "from 0 (off) to below 1",
    )
    options = parser.parse_intermixed_args(argv)
    if not options.inputs and options.webcam is None:
        parser.error("name files or folders, or give --webcam INDEX")
    with _exit_cleanly():
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
        )


def explain(argv: Sequence[str] | None = None) -> int:
    """Runs `faceemo explain`; returns the exit code."""
    parser = _make_image_parser("explain", _EXPLAIN)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder for the figures"
    )
    options = parser.parse_intermixed_args(argv)
    if not options.inputs:
        parser.error("name files or folders")
    with _exit_cleanly():
        inputs = _expand(options.inputs)
        from faceemo.inference import explain as explanations

        return explanations.explain(options.run, inputs, options.out, crops=options.crops)


def export(argv: Sequence[str] | None = None) -> int:
    """Runs `faceemo export`; returns the exit code."""
    parser = _make_parser("export", _EXPORT)
    parser.add_argument("--format", required=True, choices=EXPORTS, help="the format to write")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--faces", nargs="+", required=True, metavar="PATH", help="images or folders to compare on"
    )
    options = parser.parse_args(argv)
    with _exit_cleanly():
        faces = _expand(options.faces)
        from faceemo.inference.export import export as exports

        print(exports.export(options.run, options.format, options.out, faces))
    return 0


def serve(argv: Sequence[str] | None = None) -> int:
    """Runs `faceemo serve`; returns the exit code."""
    parser = _make_parser("serve", _SERVE)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="default: %(default)s; 0 takes a free port"
    )
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
        type=_positive_float,
        default=10.0,
        metavar="N",
        help="largest file (default: %(default)g)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=_positive_float,
        default=25.0,
        metavar="N",
        help="largest image (default: %(default)g, at most 89)",
    )
    parser.add_argument(
        "--timeout",
        type=_positive_float,
        default=30.0,
        metavar="SECONDS",
        help="limit for the upload, and again for the response (default: %(default)g)",
    )
    parser.add_argument(
        "--waiting",
        type=_positive_int,
        default=32,
        metavar="N",
        help="requests at a time; others are asked to retry later (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    with _exit_cleanly():
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
        )
    return 0


@contextlib.contextmanager
def _exit_cleanly() -> Iterator[None]:
    """Turns mistakes into one line, and Ctrl-C and a closed pipe into their exit codes."""
    try:
        with errors.reported():
            yield
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("faceemo: interrupted", file=sys.stderr)
        raise SystemExit(_SIGNAL_EXIT + signal.SIGINT) from None
    except BrokenPipeError:
        # The rest of the output is dropped, or Python would report the error again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_SIGNAL_EXIT + _SIGPIPE) from None


COMMANDS = {"predict": predict, "explain": explain, "export": export, "serve": serve}


def _make_parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog=f"faceemo {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        type=Path,
        help="the network: a run's folder, such as checkpoints/vgg16-7; a stored model.npz; "
        "or 'builtin', the network that comes with faceemo",
    )
    return parser


def _make_image_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Makes the parser of a command that takes images."""
    parser = _make_parser(name, description)
    parser.add_argument("inputs", nargs="*", help="files, folders or patterns")
    parser.add_argument(
        "--crops",
        action="store_true",
        help="treat every image as a face crop; do not run the face detector",
    )
    return parser


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


def _positive_int(text: str) -> int:
    return int(_number(int, text, lambda value: value >= 1, "a whole number from 1 on"))


def _port(text: str) -> int:
    in_range = range(2**16).__contains__
    return int(_number(int, text, in_range, "a whole number from 0 to 65535"))


def _positive_float(text: str) -> float:
    return _number(float, text, lambda value: 0 < value < float("inf"), "a number above 0")


def _fraction(text: str) -> float:
    return _number(float, text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def _number(
    parse: Callable[[str], float], text: str, is_allowed: Callable[[Any], bool], expected: str
) -> float:
    """Parses an option's number, or makes argparse end with a message."""
    with contextlib.suppress(ValueError):
        if is_allowed(value := parse(text)):
            return value
    raise argparse.ArgumentTypeError(f"expected {expected}, found '{text}'")


if __name__ == "__main__":
    sys.exit(main())

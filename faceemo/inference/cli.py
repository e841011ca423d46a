"""The commands `faceemo predict`, `explain`, `export` and `serve`, also scripts of these names."""

import argparse
import contextlib
import glob
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from faceemo import errors
from faceemo.inference.formats import FORMATS

# The keys of `export.FORMATS`, whose import takes seconds.
EXPORTS = ("stablehlo", "onnx", "tflite", "keras", "npz")
# Exit codes of what a signal ended, as shells have them; SIGPIPE has no name on Windows.
_KILLED_BY, _CLOSED_PIPE = 128, 13

_PREDICT = """Says what the faces in images, videos or a webcam's pictures express.

    faceemo predict builtin photo.jpg holiday/ 'more/*.png'
    faceemo predict checkpoints/vgg16-7 film.mp4 --every 5 --smooth 0.6 --draw film_faces.mp4
    faceemo predict checkpoints/vgg16-7 --webcam 0 --format jsonl

Photographs are searched for all their faces; an image that one face fills is taken as it is. Of a
folder all images and videos are answered, those in folders within included. Answers more likely
wrong than right are 'unsure'. Exit code 1 says that files could not be read (they are listed at the
end), 2 that nothing could be done.
"""
_EXPLAIN = """Draws what in a face speaks for the answer: one picture per face.

    faceemo explain builtin photo.jpg faces/ --out explained

Grad-CAM shows where the network's last convolution found evidence; the occlusion map shows how much
the probability falls when a grey patch covers a place.
"""

_EXPORT = """Writes the network for another program, after asking both about the same faces.

    faceemo export checkpoints/vgg16-7 --format onnx --out model.onnx --faces data/unique_images

stablehlo (JAX anywhere), onnx, tflite and keras (.h5) take grey faces, uint8 [N, S, S], and give
calibrated probabilities; npz holds the weights, with preprocessing as data. Beside the file stands
FILE.json: classes, sizes, what was compared. A file that answers otherwise is not written.
"""

_SERVE = """Shows a web page, and answers programs, about the faces in pictures that they send.

    faceemo serve builtin
    curl -F file=@photo.jpg http://127.0.0.1:8000/api/predict

The page needs no other address than this one; /api describes the API. Nothing is stored. Only this
machine can reach it unless --host says otherwise; there is no login. Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console command: its first word names one of the others."""
    parser = argparse.ArgumentParser(
        prog="faceemo", description="Emotions in face images, with a trained network."
    )
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="faceemo COMMAND --help lists it")
    options = parser.parse_args(argv)
    return COMMANDS[options.command](options.rest)


def predict(argv: Sequence[str] | None = None) -> int:
    """`faceemo predict`; returns the exit code."""
    parser = _parser("predict", _PREDICT)
    parser.add_argument("--webcam", type=int, metavar="INDEX", help="0 is the first; Ctrl-C ends")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="%(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there, not to the terminal")
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="PLACE",
        help="annotated images into this folder, another than theirs; one video into this .mp4",
    )
    parser.add_argument(
        "--every", type=_count, default=1, metavar="N", help="one of N frames (%(default)s)"
    )
    parser.add_argument(
        "--smooth",
        type=_share,
        default=0.0,
        metavar="S",
        help="of videos: share of a face's "
        "probabilities that stays from frame to frame, 0 (off) to below 1",
    )
    options = parser.parse_intermixed_args(argv)
    if not options.inputs and options.webcam is None:
        parser.error("name files or folders, or --webcam INDEX")
    with _ended():
        inputs = _inputs(options.inputs)
        from faceemo.inference import (
            predict_files,  # takes seconds, which a mistake need not wait for
        )

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
    """`faceemo explain`; returns the exit code."""
    parser = _parser("explain", _EXPLAIN)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the pictures")
    options = parser.parse_intermixed_args(argv)
    if not options.inputs:
        parser.error("name files or folders")
    with _ended():
        inputs = _inputs(options.inputs)
        from faceemo.inference import explain as pictures

        return pictures.explain(options.run, inputs, options.out, crops=options.crops)


def export(argv: Sequence[str] | None = None) -> int:
    """`faceemo export`; returns the exit code."""
    parser = _bare_parser("export", _EXPORT)
    parser.add_argument("--format", required=True, choices=EXPORTS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--faces", nargs="+", required=True, metavar="PATH", help="images to compare on, or folders"
    )
    options = parser.parse_args(argv)
    with _ended():
        faces = _inputs(options.faces)
        from faceemo.inference.export import export as exporting

        print(exporting.export(options.run, options.format, options.out, faces))
    return 0


def serve(argv: Sequence[str] | None = None) -> int:
    """`faceemo serve`; returns the exit code."""
    parser = _bare_parser("serve", _SERVE)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="%(default)s; 0 takes a free one")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="of the host, as browsers write it, such as that of a proxy before the server: it "
        "answers to no other then, but to those of this machine alone; without, one that others "
        "can reach answers to this machine's name and to addresses in numbers too",
    )
    parser.add_argument(
        "--max-mib", type=_amount, default=10.0, metavar="N", help="of a picture (%(default)g)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=_amount,
        default=25.0,
        metavar="N",
        help="of one (%(default)g, at most 89)",
    )
    parser.add_argument(
        "--timeout",
        type=_amount,
        default=30.0,
        metavar="SECONDS",
        help="for a picture to arrive, and again for the answer (%(default)g)",
    )
    parser.add_argument(
        "--waiting",
        type=_count,
        default=32,
        metavar="N",
        help="requests at a time; others are told to come back (%(default)s)",
    )
    options = parser.parse_args(argv)
    with _ended():
        from faceemo.inference.serve import server

        server.serve(
            options.run,
            host=options.host,
            port=options.port,
            names=options.name,
            mib=options.max_mib,
            megapixels=options.max_megapixels,
            seconds=options.timeout,
            places=options.waiting,
        )
    return 0


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    """Ends a command as a user expects: mistakes in a line, Ctrl-C and a closed pipe in silence."""
    try:
        with errors.reported():
            yield
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("faceemo: interrupted", file=sys.stderr)
        raise SystemExit(_KILLED_BY + signal.SIGINT) from None
    except BrokenPipeError:
        # What is still to be flushed goes nowhere, or Python would tell of it at its very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_KILLED_BY + _CLOSED_PIPE) from None


COMMANDS = {"predict": predict, "explain": explain, "export": export, "serve": serve}


def _bare_parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"faceemo {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        type=Path,
        help="the run's folder, such as checkpoints/vgg16-7; a stored model.npz; "
        "or 'builtin', the network that comes with faceemo",
    )
    return parser


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    """Of what looks at images."""
    parser = _bare_parser(name, description)
    parser.add_argument("inputs", nargs="*", help="files, folders, patterns")
    parser.add_argument(
        "--crops", action="store_true", help="every image is a face as it is: search none"
    )
    return parser


def _inputs(texts: Sequence[str]) -> list[Path]:
    """The paths that were named or that match a pattern.

    Raises:
        UserError: naming all that do not exist.
    """
    found: list[Path] = []
    missing = []
    for text in texts:
        # not pathlib, which takes no pattern that starts at the root
        paths = [text] if Path(text).exists() else sorted(glob.glob(text, recursive=True))  # noqa: PTH207
        found += map(Path, paths)
        missing += [] if paths else [text]
    if missing:
        raise errors.UserError(
            expected="files, folders or patterns that match some",
            found=f"nothing at {', '.join(missing)}",
            fix="correct them",
        )
    return found


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("takes a whole number from 1")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**16:
        raise argparse.ArgumentTypeError("takes a whole number from 0 to 65535")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("takes a number above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("takes a number from 0 to below 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

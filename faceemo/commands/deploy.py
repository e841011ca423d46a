"""The commands `faceemo export` and `serve`, which hand a network to other programs."""

import argparse
from pathlib import Path

from faceemo.commands.network import (
    add_classes,
    add_engine,
    add_network,
    add_search,
    expand,
    tell_more,
)
from faceemo.commands.parser import Command, non_negative_float, port, positive_float, positive_int

# The keys of `export.FORMATS`, whose import takes seconds, and that of the page.
EXPORTS = ("stablehlo", "onnx", "tflite", "keras", "npz", "web")
PRECISIONS = ("float32", "float16", "int8")  # the keys of `export.TOLERANCES`

_EXPORT = """Writes the network for another program, and compares both on the same faces.

    faceemo export checkpoints/vgg16-7 --format onnx --out model.onnx --faces data/unique_images

Files take grey face crops as uint8, S pixels wide and high (usually 48), and return calibrated
probabilities:
    stablehlo, onnx   [N, S, S], for any number N of faces
    keras             [N, S, S, 1]; --out FILE.h5 or FILE.keras decides which of both is written
    tflite            [1, S, S, 1], one face at a time; resize_tensor_input makes it [N, S, S, 1]
Those of a network that sees colour take RGB crops, [N, S, S, 3] in all of these formats.
Everywhere but in npz, the input is named faces and the output probabilities.
npz holds the weights and the preprocessing as data, for faceemo.load and for programs of your own.
web writes a folder with a page that finds faces and predicts in the browser, from photographs and
the camera; no picture leaves the tab. Any web server can serve it, also of files alone:
    faceemo export builtin --format web --out page
    python -m http.server --directory page
--precision makes an ONNX file smaller: float16 stores half the bytes, int8 a quarter and computes
faster. int8 is calibrated on --faces, at least 32 crops like those that it is for, or without
--faces on the run's training images.

FILE.json beside the file describes it for programs that have no faceemo: how faces are found and
cut out, what the file takes and returns, classes, thresholds, and the comparison. A file whose
probabilities differ from the network's is not written.
"""

_SERVE = """Serves a web page and an HTTP API that predict on uploaded images and films.

    faceemo serve builtin
    curl -F file=@photo.jpg http://127.0.0.1:8000/api/predict

The page loads nothing from other addresses; /api describes the API. No image is stored; a film
lies in a temporary folder until its results are fetched, or for ten minutes. Only this machine can
reach the server unless --host is given; there is no login. Ctrl-C ends it.
"""


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("--format", required=True, choices=EXPORTS, help="the format to write")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the file to write; the folder for web",
    )
    parser.add_argument(
        "--faces",
        nargs="+",
        default=[],
        metavar="PATH",
        help="images or folders to compare on, and to calibrate int8 on (default: drawn faces; for "
        "int8 the run's training images)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="precision of an ONNX file (default: %(default)s)",
    )


def _export(options: argparse.Namespace) -> int:
    faces = expand(options.faces)
    from faceemo.inference.export import export

    print(export.export(options.run, options.format, options.out, faces, options.precision))
    return 0


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    add_search(parser)
    add_classes(parser)
    add_engine(parser)
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
        default=25.0,
        metavar="N",
        help="largest image, in MiB (default: %(default)g)",
    )
    parser.add_argument(
        "--max-film-mib",
        type=non_negative_float,
        default=200.0,
        metavar="N",
        help="largest film, in MiB (default: %(default)g); 0 accepts no films",
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
        default=60.0,
        metavar="SECONDS",
        help="limit for the upload of an image, and again for the response (default: %(default)g); "
        "a film may take ten times as long to arrive",
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

    if options.verbose:
        tell_more()
    server.serve(
        options.run,
        host=options.host,
        port=options.port,
        extra_hosts=options.name,
        max_mib=options.max_mib,
        max_film_mib=options.max_film_mib,
        max_megapixels=options.max_megapixels,
        timeout=options.timeout,
        max_requests=options.waiting,
        face_threshold=options.face_threshold,
        min_face=options.min_face,
        classes=options.classes,
        engine=options.engine,
        check_faces=options.check_faces,
    )
    return 0


COMMANDS = (
    Command(
        "export",
        "write the network for another program, in ONNX for example",
        _EXPORT,
        _add_export,
        _export,
        # In argparse's own order, --faces would take RUN as one of its paths.
        usage="faceemo export [-h] RUN --format FORMAT --out FILE [--faces PATH [PATH ...]]\n"
        "                      [--precision PRECISION]",
    ),
    Command("serve", "serve a web page and an HTTP API", _SERVE, _add_serve, _serve),
)

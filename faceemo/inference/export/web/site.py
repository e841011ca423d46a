"""Export as a static site that finds faces and predicts in the browser.

The site is a page, scripts, onnxruntime-web, and three compressed files: the runtime's program, the
face detector and the network. It loads nothing else, and its Content-Security-Policy forbids the
browser to contact another site.
"""

import copy
import hashlib
import json
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

import faceemo
from faceemo import staging
from faceemo.analysis.card import NAME as CARD
from faceemo.analysis.card import read_validation
from faceemo.analysis.theme import template
from faceemo.assets import builtin, catalogue
from faceemo.assets.downloads import DownloadError
from faceemo.assets.packages import extract_member
from faceemo.errors import UserError, missing_packages
from faceemo.inference.detector import res10_graph
from faceemo.inference.export import onnx_file, sidecar
from faceemo.inference.export.comparison_faces import choose_faces
from faceemo.inference.export.file_formats import in_float32
from faceemo.inference.export.parity import measure_difference
from faceemo.inference.export.web import licences, network_graph, two_bytes
from faceemo.inference.predictor import Predictor
from faceemo.train.checkpoint.trained_model import TrainedModel, read
from faceemo.train.programs import compile_cache

FORM = "web"
ABOUT = "model.json"
_PACKAGE = "faceemo.inference.export.web"
_TEMPLATE, _STYLE = "index.html.j2", "style.css"
_RUNTIME = "runtime"  # the folder of onnxruntime-web
# Its scripts and their names here: some servers do not know what .mjs is.
_SCRIPTS = {"ort.wasm.min.mjs": "ort.js", "ort-wasm-simd-threaded.mjs": "loader.js"}
_PROGRAM = "ort-wasm-simd-threaded.wasm"
TOLERANCE = 0.01  # largest difference of a probability from the network's
# See `two_bytes.pack`. With 256, probabilities of `builtin` on 300 faces of FER2013 differ by at
# most 0.0018 (0.0006 with 384, at 0.2 MB more; in float16, 1.3 MB more, 0.013). Networks that are
# more sensitive get more.
_STEPS = 256
_MORE_STEPS = (_STEPS, 4 * _STEPS, 16 * _STEPS)


def write(run: Path, out: Path, inputs: Sequence[Path] = ()) -> str:
    """Writes the site, if the probabilities of its network equal the network's.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        out: The folder; an older site there is replaced.
        inputs: Images of faces, or folders of them, to compare on; none for drawn faces.

    Returns:
        A sentence about the comparison and the size of the site.

    Raises:
        UserError: If `out` holds something else than a site, onnxruntime-web cannot be fetched, a
            package is not installed, no image can be read, or the probabilities differ; then
            nothing is written.
    """
    _refuse_other_folder(out)
    compile_cache.enable()
    trained = in_float32(read(run))
    predictor = Predictor(trained)
    faces, _, kind = choose_faces(predictor, inputs, None)
    detector, about_output = res10_graph.make_graph()
    with missing_packages("onnx"):
        import onnx
    graph = onnx.load_from_string(detector)
    two_bytes.pack(graph, _STEPS)
    package = catalogue.fetch("onnxruntime-web")
    network, difference = _make_network(trained, predictor, faces)
    with staging.folder(out) as site:
        _write_page(site, run, trained)
        runtime = _write_runtime(site, package)
        files = {
            name: _describe_file(_write_compressed(site / name, content))
            for name, content in (
                (f"{_RUNTIME}/runtime.bin", runtime),
                ("detector.bin", graph.SerializeToString()),
                ("network.bin", network),
            )
        }
        about = _describe(trained, about_output) | {
            "files": files,
            "checked": {
                "faces": len(faces),
                "largest_difference": difference,
                "tolerance": TOLERANCE,
            },
        }
        (site / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        size = sum(one.stat().st_size for one in site.rglob("*") if one.is_file())
        text = licences.describe(trained, _find_folder(run) / CARD)
        (site / licences.NAME).write_text(text, encoding="utf-8")
    return (
        f"{out}: a page of {size / 1e6:.1f} MB; on {len(faces)} {kind}, in a batch and one at a "
        f"time, its probabilities differ from the network's by at most {difference:.1e}; serve it "
        f"with python -m http.server --directory {out}"
    )


def _refuse_other_folder(out: Path) -> None:
    """Raises a `UserError` if `out` is a file, or a folder that holds something else than a site.

    The folder is replaced as a whole.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if (out / ABOUT).is_file() and f'"format": "{FORM}"' in (out / ABOUT).read_text("utf-8"):
        return
    raise UserError(
        expected="a new or empty folder, or that of an earlier page, for --out",
        found=f"{'other files in ' if out.is_dir() else 'the file '}{out}",
        fix="name another folder",
    )


def _make_network(
    trained: TrainedModel, predictor: Predictor, faces: np.ndarray
) -> tuple[bytes, float]:
    """Makes the ONNX file of a network, with weights as rough as its probabilities allow.

    Args:
        trained: The network, in float32.
        predictor: Its predictor.
        faces: The faces to compare on.

    Returns:
        The file's content, and the largest difference of a probability.

    Raises:
        UserError: If the difference is too large with the finest weights.
    """
    whole, expected = network_graph.make_graph(trained), predictor.probabilities(faces)
    difference = 1.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        for steps in _MORE_STEPS:
            model = copy.deepcopy(whole)
            two_bytes.pack(model, steps)
            path.write_bytes(model.SerializeToString())
            difference = measure_difference(onnx_file.load(path), faces, expected)
            if difference <= TOLERANCE:
                return path.read_bytes(), difference
    raise UserError(
        expected=f"probabilities of the page within {TOLERANCE:g} of the network's on "
        f"{len(faces)} faces",
        found=f"a difference of {difference:.2g}; nothing was written",
        fix="report this with the versions of jax and onnxruntime",
    )


def _write_page(site: Path, run: Path, trained: TrainedModel) -> None:
    """Writes the page, its style and its scripts."""
    for source in (resources.files(_PACKAGE) / "page").iterdir():
        if source.name.endswith(".js"):
            (site / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    style = (resources.files(_PACKAGE) / "page" / _STYLE).read_text(encoding="utf-8")
    base = template.render("analysis/theme/base.css.j2")
    (site / _STYLE).write_text(base + style, encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE, "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE).render(
        classes=trained.classes,
        validation=_read_validation(run),
        calibrated=trained.temperature != 1,
        version=faceemo.__version__,
    )
    (site / "index.html").write_text(page + "\n", encoding="utf-8")


def _read_validation(run: Path) -> dict[str, Any]:
    """Reads the network's results on validation, {} if there are none."""
    folder = _find_folder(run)
    summary = folder / "summary.json"
    if summary.is_file():
        found = json.loads(summary.read_text(encoding="utf-8"))
        return found if "val_accuracy" in found else {}
    return read_validation(folder / CARD)


def _find_folder(run: Path) -> Path:
    """Returns the folder of a run, or the one that holds a stored network."""
    path = builtin.FOLDERS.get(str(run), run)
    return path if path.is_dir() else path.parent


def _write_runtime(site: Path, package: Path) -> bytes:
    """Writes onnxruntime-web's scripts; returns its program."""
    folder = site / _RUNTIME
    folder.mkdir()
    program = folder / _PROGRAM
    try:
        for name, here in {**_SCRIPTS, _PROGRAM: _PROGRAM}.items():
            extract_member(package, f"package/dist/{name}", folder / here)
    except DownloadError as error:
        raise RuntimeError(f"{package}: {error}") from error
    for here in _SCRIPTS.values():  # a map of sources would be a request for a file that is absent
        lines = (folder / here).read_text(encoding="utf-8").splitlines(keepends=True)
        lines = [line for line in lines if not line.startswith("//# sourceMappingURL=")]
        (folder / here).write_text("".join(lines), encoding="utf-8")
    content = program.read_bytes()
    program.unlink()
    return content


def _write_compressed(path: Path, content: bytes) -> Path:
    """Writes a file that the page decompresses, so that it is small on every server."""
    path.write_bytes(two_bytes.compress(content))
    return path


def _describe_file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _describe(trained: TrainedModel, detector_output: dict[str, Any]) -> dict[str, Any]:
    """Describes the network for the page, as the file beside every export does."""
    common = sidecar.describe(trained)
    common["detector"]["output"] = detector_output
    return {"format": FORM} | common

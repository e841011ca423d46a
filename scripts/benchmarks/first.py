"""Size of a new installation, and time of a new process until its first answer.

Each round starts two processes with an empty cache of compiled programs and ONNX files, and then
again with what they left there: `import faceemo` with a prediction on one image, and the command
`faceemo predict`.
The face detector's files come from the user's cache, into which they are fetched first.

--install measures the size: it installs this checkout into a new virtual environment, as a user
would, and predicts there too. This takes minutes and a Python package index. --extras train adds
what training needs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from faceemo.assets import catalogue
from faceemo.inference.serve.examples import make_examples

from . import timing

_CHECKOUT = Path(__file__).parents[2]
_LARGEST = 12  # folders of an installation that are listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py first`."""
    parser.add_argument("--image", type=Path, help="the image (default: three drawn faces)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--install", action="store_true", help="also measure the size of a new installation"
    )
    parser.add_argument(
        "--extras", nargs="+", default=[], metavar="EXTRA", help="extras to install"
    )


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints its figures as they are measured."""
    for name in ("res10.prototxt", "res10.caffemodel"):
        catalogue.fetch(name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = options.image or _draw(folder)
        print(f"\nseconds to the first answer, medians of {options.rounds} (range)")
        # The checkout is the working directory, so that its code is imported, installed or not.
        _print_times(sys.executable, _CHECKOUT, image.absolute(), options.rounds)
        if options.install:
            python = _install(folder / "environment", options.extras)
            _print_sizes(python)
            _print_times(python, folder, image.absolute(), options.rounds)


def _draw(folder: Path) -> Path:
    """Writes the server's example image with several faces."""
    image = folder / "three.png"
    (example,) = (one for one in make_examples() if one.name == image.name)
    image.write_bytes(example.png)
    return image


def _print_times(python: str, workdir: Path, image: Path, rounds: int) -> None:
    """Times the commands in a Python, and prints their medians."""
    commands = {
        "import faceemo": (
            "-c",
            f"import faceemo; assert faceemo.load().predict({str(image)!r})[0].box",
        ),
        "faceemo predict": ("-m", "faceemo", "predict", "builtin", str(image)),
    }
    seconds = {name: {"cold": [], "warm": []} for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as cache:
                _link_assets(Path(cache))
                environment = os.environ | {"FACEEMO_CACHE": cache}
                environment.pop("JAX_COMPILATION_CACHE_DIR", None)
                for state in ("cold", "warm"):
                    elapsed = _time_process([python, *command], workdir, environment)
                    seconds[name][state].append(elapsed)
    for name, by_state in seconds.items():
        cells = []
        for state, values in by_state.items():
            middle, low, high = timing.median_and_range(values)
            cells.append(f"{state} {middle:.2f} ({low:.2f}-{high:.2f})")
        print(f"  {name:<17}{'  '.join(cells)}", flush=True)


def _time_process(command: Sequence[str], workdir: Path, environment: dict[str, str]) -> float:
    return timing.time_call(
        lambda: subprocess.run(
            command, env=environment, cwd=workdir, check=True, capture_output=True
        )
    )


def _link_assets(cache: Path) -> None:
    """Fills a cache with links to the user's files, without the compiled programs."""
    for path in catalogue.cache_dir().iterdir():
        if path.is_file():
            (cache / path.name).symlink_to(path)


def _install(environment: Path, extras: Sequence[str]) -> str:
    """Installs the checkout into a new virtual environment; returns the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    requirement = f"{_CHECKOUT}[{','.join(extras)}]" if extras else str(_CHECKOUT)
    print(f"\npip install {requirement}", flush=True)
    options = ("--quiet", "--disable-pip-version-check")
    elapsed = timing.time_call(
        lambda: subprocess.run([python, "-m", "pip", "install", *options, requirement], check=True)
    )
    print(f"  {elapsed:.0f} seconds")
    return python


def _print_sizes(python: str) -> None:
    """Prints the size of an environment, and its largest folders."""
    folder = Path(python).parents[1]
    (packages,) = folder.glob("lib/python*/site-packages")
    sizes = {path.name: _measure_size(path) for path in packages.iterdir()}
    print(f"  {_measure_size(folder) / 1e6:,.0f} MB, of which")
    for name in sorted(sizes, key=lambda name: -sizes[name])[:_LARGEST]:
        print(f"    {sizes[name] / 1e6:>6,.0f} {name}")


def _measure_size(path: Path) -> int:
    """Returns the bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())

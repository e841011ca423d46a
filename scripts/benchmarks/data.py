"""Speed of preparation, hashing, the search for near duplicates, and the input pipeline.

Preparation and hashing are compared with a plain implementation, which works as the original
project did: it decodes, enlarges, screens (one forward pass of the face detector) and hashes
(imagehash) one image at a time. Both prepare the same zip and must give equal fates and hashes.
Neither draws pictures. --scale measures the preparation of a large synthetic set instead.

The ratio is the time of the plain implementation divided by faceemo's.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from faceemo.data.measure.decode import decode
from faceemo.data.sample import sample
from faceemo.data.source import archive
from faceemo.errors import UserError

from . import data_scale, timing

_PROGRAM = str(Path(__file__).with_name("data_contestant.py"))
_CONTESTANTS = ("plain", "faceemo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py data`."""
    parser.add_argument(
        "--zip",
        type=Path,
        default=Path("data") / archive.ZIP,
        help="zip of face images (default: %(default)s)",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=1000,
        help="number of images, chosen at random from the zip; 0: all (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")
    parser.add_argument(
        "--hashes",
        type=int,
        nargs="+",
        default=[125_000, 1_000_000],
        help="numbers of hashes to search for near pairs",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice, or of the set")
    parser.add_argument(
        "--scale",
        type=int,
        nargs="?",
        const=300_000,
        metavar="N",
        help="instead, prepare a synthetic set of N colour images (%(const)s if N is left out)",
    )
    parser.add_argument("--folder", type=Path, help="with --scale: where it is made for a while")
    parser.add_argument("--out", type=Path, help="with --scale: JSON file for the results")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints results as they are measured.

    Raises:
        UserError: If there is no zip at --zip.
        AssertionError: If a fate or a hash differs.
    """
    if options.scale:
        data_scale.run(options)
        return
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        zip_path, count = _write_subset(options, out)
        programs = {
            contestant: [sys.executable, _PROGRAM, contestant, str(zip_path), name]
            for contestant in _CONTESTANTS
        }
        print(f"\n{count:,} images of {options.zip}; medians of {options.rounds} rounds (range)")
        seconds, failed = timing.time_tasks(programs, ("prepare", "hash"), options.rounds)
        for contestant, reason in failed.items():
            print(f"  {contestant} did not run: {reason}")
        for task, seconds_by_contestant in seconds.items():
            print(_format_row(task, count, seconds_by_contestant))
        if not failed:
            for kind in ("fates", "hashes"):
                plain, ours = (
                    json.loads((out / f"{contestant}.{kind}.json").read_text())
                    for contestant in _CONTESTANTS
                )
                if plain != ours:
                    raise AssertionError(f"faceemo's {kind} differ from the plain implementation's")
                print(f"  all {len(plain):,} {kind} equal")
        repeated = _run_program("repeat", zip_path)
        print("  seconds: " + ", ".join(f"{what} {value:.2f}" for what, value in repeated.items()))
    print("\npairs of random 64-bit hashes at most 4 bits apart")
    for number in options.hashes:
        found = _run_program("pairs", number)
        print(
            f"  among {number:>9,}: {found['pairs']:,} in {found['seconds']:.1f} s, "
            f"{found['megabytes']:.0f} MB more memory"
        )
    print("\n48x48 images per second in shuffled batches: median (range)")
    for size in (32, 128):
        middle, low, high = timing.median_and_range(_run_program("batches", size))
        print(f"  batch {size:>3}: {middle:,.0f} ({low:,.0f}-{high:,.0f})")


def _write_subset(options: argparse.Namespace, out: Path) -> tuple[Path, int]:
    """Writes a zip of random images, at least four per folder; returns path and image count."""
    if not options.zip.is_file():
        raise UserError(
            expected=f"a zip of face images at {options.zip}",
            found="no such file",
            fix=f"give one with --zip; `{sample.__name__}.write_zip` makes one of drawn faces",
        )
    with zipfile.ZipFile(options.zip) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        # The plain implementation stops at an unreadable file.
        names = [name for name in names if decode(source.read(name)).pixels is not None]
        random.Random(options.seed).shuffle(names)
        folders: dict[str, int] = {}
        chosen = []
        for name in names:
            folder = name.rpartition("/")[0]
            folders[folder] = folders.get(folder, 0) + 1
            if folders[folder] <= 4 or not options.images:
                chosen.append(name)
        rest = [name for name in names if name not in set(chosen)]
        chosen += rest[: max(options.images - len(chosen), 0)]
        with zipfile.ZipFile(out / archive.ZIP, "w") as target:
            for name in sorted(chosen):
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    return out / archive.ZIP, len(chosen)


def _run_program(*arguments: object):
    """Runs the program once and returns the JSON that it prints."""
    command = [sys.executable, _PROGRAM, *map(str, arguments)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(process.stdout)


def _format_row(task: str, count: int, seconds: dict[str, list[float]]) -> str:
    cells = []
    for contestant, values in seconds.items():
        middle, low, high = timing.median_and_range([count / value for value in values])
        cells.append(f"{contestant} {middle:,.0f} ({low:,.0f}-{high:,.0f}) images/s")
    if set(_CONTESTANTS) <= seconds.keys():
        plain, ours = (timing.median_and_range(seconds[name])[0] for name in _CONTESTANTS)
        ratio = plain / ours
        cells.append(f"ratio {ratio:.2f}")
    return f"  {task:<8}" + "   ".join(cells)

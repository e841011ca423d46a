"""Preparation, hashing, the search for near hashes and the input pipeline, beside the plain way.

The plain way is the original project's: one image at a time through decoding, enlargement, a
forward pass of the face detector and imagehash. Both prepare the same zip, and every fate and every
hash must be equal. Neither draws pictures.

The ratio is the plain way's time over faceemo's.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from faceemo.data.sample import sample
from faceemo.data.source import archive
from faceemo.errors import UserError

from . import timing

_PROGRAM = str(Path(__file__).with_name("preparation.py"))
_WHO = ("plain", "faceemo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `scripts/benchmark.py data`."""
    parser.add_argument("--zip", type=Path, default=Path("data") / archive.ZIP)
    parser.add_argument(
        "--images", type=int, default=1000, help="drawn at random from the zip; 0: all"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hashes", type=int, nargs="+", default=[125_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=0, help="of the draw")


def run(options: argparse.Namespace) -> None:
    """Prints the comparison as it is measured.

    Raises:
        UserError: if there is no zip at --zip.
        AssertionError: if a fate or a hash differs.
    """
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        zip_path, count = _draw(options, out)
        programs = {who: [sys.executable, _PROGRAM, who, str(zip_path), name] for who in _WHO}
        print(f"\n{count:,} images of {options.zip}; medians of {options.rounds} rounds (range)")
        seconds, failed = timing.side_by_side(programs, ("prepare", "hash"), options.rounds)
        for who, reason in failed.items():
            print(f"  {who} did not run: {reason}")
        for task, of_task in seconds.items():
            print(_line(task, count, of_task))
        if not failed:
            for what in ("fates", "hashes"):
                plain, ours = (json.loads((out / f"{who}.{what}.json").read_text()) for who in _WHO)
                if plain != ours:
                    raise AssertionError(f"{what} differ from the plain way's")
                print(f"  all {len(plain):,} {what} equal")
        again = _ask("replayed", zip_path, name)
        print("  seconds: " + ", ".join(f"{what} {value:.2f}" for what, value in again.items()))
    print("\npairs of random 64-bit hashes at most 4 bits apart")
    for number in options.hashes:
        found = _ask("pairs", number)
        print(
            f"  among {number:>9,}: {found['pairs']:,} in {found['seconds']:.1f} s, "
            f"{found['megabytes']:.0f} MB more memory"
        )
    print("\n48x48 images per second into shuffled batches: median (range)")
    for size in (32, 128):
        middle, low, high = timing.spread(_ask("batches", size))
        print(f"  of {size:>3}: {middle:,.0f} ({low:,.0f}-{high:,.0f})")


def _draw(options: argparse.Namespace, out: Path) -> tuple[Path, int]:
    """A zip of some of the images, at least four in every folder, and their number."""
    if not options.zip.is_file():
        raise UserError(
            expected=f"a zip of face images at {options.zip}",
            found="no such file",
            fix=f"name one with --zip; `{sample.__name__}.write_zip` draws one",
        )
    with zipfile.ZipFile(options.zip) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        draw = random.Random(options.seed)
        draw.shuffle(names)
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


def _ask(*arguments: object):
    """What the program prints, run once on its own."""
    command = [sys.executable, _PROGRAM, *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


def _line(task: str, count: int, seconds: dict[str, list[float]]) -> str:
    cells = []
    for who, values in seconds.items():
        middle, low, high = timing.spread([count / value for value in values])
        cells.append(f"{who} {middle:,.0f} ({low:,.0f}-{high:,.0f}) images/s")
    if set(_WHO) <= seconds.keys():
        ratio = timing.spread(seconds["plain"])[0] / timing.spread(seconds["faceemo"])[0]
        cells.append(f"ratio {ratio:.2f}")
    return f"  {task:<8}" + "   ".join(cells)

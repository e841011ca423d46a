"""Whole answers on photographs, crops and a film: of networks of faceemo, and of the package fer.

Every contestant gets the same files, reads them, searches for faces (not in the crops), and
computes the emotions of all it finds. `fer` is the class FER of the package of that name, with its
defaults: OpenCV's Haar cascade and a quantised network. It finds other faces, whose number is
printed beside the rate. It is installed by pip install --no-deps fer. As it does not check what it
finds, faceemo is timed without its check of faces as well ('unchecked').

`start` is the time of a new process until its answer on one photograph, with warm caches on disk:
of faceemo the command `faceemo predict`. Without --photos and --film these are drawn.
"""

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.sample.draw_face import draw_face
from faceemo.inference.inputs import find_images

from . import timing

FER = "fer"
CONTESTANTS = ("faceemo-jax", "faceemo-onnx", "faceemo-onnx-unchecked", FER)
TASKS = ("photographs", "crops", "film")
_PROGRAM = str(Path(__file__).with_name("files_contestant.py"))
_PHOTOS, _CROPS, _FRAMES = 6, 128, 24
_WIDTH, _HEIGHT = 1280, 960  # of a drawn photograph, pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py files`."""
    parser.add_argument(
        "--run",
        nargs="+",
        type=Path,
        default=[Path("builtin")],
        help="networks of faceemo (default: builtin)",
    )
    parser.add_argument("--photos", type=Path, help="folder of photographs (default: drawn)")
    parser.add_argument("--film", type=Path, help="a film (default: drawn)")
    parser.add_argument(
        "--contestants",
        nargs="+",
        default=CONTESTANTS,
        choices=CONTESTANTS,
        help="implementations to compare",
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints its figures as they are measured."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = find_images([options.photos]) if options.photos else _draw_photos(folder)
        inputs = {
            "photographs": photos,
            "crops": _draw_crops(folder),
            "film": [options.film.absolute() if options.film else _draw_film(folder)],
        }
        for task, paths in inputs.items():
            text = "\n".join(str(path.absolute()) for path in paths)
            (folder / f"{task}.txt").write_text(text, encoding="utf-8")
        entrants = {
            one if one == FER else f"{run.stem}:{one.removeprefix('faceemo-')}": (one, run)
            for run, one in itertools.product(options.run, options.contestants)
        }
        programs = {
            label: [sys.executable, _PROGRAM, one, str(run), name, label]
            for label, (one, run) in entrants.items()
        }
        seconds, failed = timing.time_tasks(programs, TASKS, options.rounds)
        print(f"\nmedians of {options.rounds} rounds (range)")
        for task, by_contestant in seconds.items():
            for one, values in by_contestant.items():
                counts = (folder / f"{one}-{task}.txt").read_text("utf-8")
                images, faces = map(int, counts.split())
                middle, low, high = timing.median_and_range([images / value for value in values])
                print(
                    f"  {task:<12}{one:<30}{middle:7.1f} ({low:.1f}-{high:.1f}) images/s, "
                    f"{faces} faces in {images} images",
                    flush=True,
                )
        commands = {
            label: _make_command(*entrants[label], photos[0], program)
            for label, program in programs.items()
            if label not in failed
        }
        for one, values in timing.time_processes(commands, options.rounds).items():
            middle, low, high = timing.median_and_range(values)
            print(f"  {'start':<12}{one:<30}{middle:7.2f} ({low:.2f}-{high:.2f}) s", flush=True)
        for one, reason in failed.items():
            print(f"  {one} did not run: {reason}")


def _make_command(one: str, run: Path, photo: Path, program: list[str]) -> list[str]:
    """Returns the command that answers on one photograph."""
    if one == FER:
        return [*program, str(photo)]
    _, engine, *unchecked = one.split("-")
    words = ["predict", str(run), str(photo), "--engine", engine]
    return [sys.executable, "-m", "faceemo", *words, *["--no-face-check"] * len(unchecked)]


def _draw_photos(folder: Path) -> list[Path]:
    """Draws photographs with three faces of 160 to 320 pixels each."""
    paths = []
    for number in range(_PHOTOS):
        rng = np.random.default_rng(number)
        photo = rng.integers(110, 140, (_HEIGHT, _WIDTH), np.uint8)
        photo = cv2.GaussianBlur(photo, (0, 0), 3)
        for place in range(3):
            side = int(rng.integers(160, 320))
            top, left = int(rng.integers(0, _HEIGHT - side)), place * _WIDTH // 3 + 40
            photo[top : top + side, left : left + side] = _draw(3 * number + place, side)
        paths.append(folder / f"photo{number}.jpg")
        Image.fromarray(photo).convert("RGB").save(paths[-1], quality=90)
    return paths


def _draw_crops(folder: Path) -> list[Path]:
    paths = [folder / f"crop{number}.png" for number in range(_CROPS)]
    for number, path in enumerate(paths):
        Image.fromarray(_draw(number, 48)).save(path)
    return paths


def _draw_film(folder: Path) -> Path:
    """Draws a film of two faces, one of which moves."""
    path = folder / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (640, 480))
    faces = [cv2.cvtColor(_draw(number, 180), cv2.COLOR_GRAY2BGR) for number in range(2)]
    for number in range(_FRAMES):
        frame = np.full((480, 640, 3), 128, np.uint8)
        frame[150:330, 20 + 2 * number : 200 + 2 * number] = faces[0]
        frame[150:330, 420:600] = faces[1]
        writer.write(frame)
    writer.release()
    return path


def _draw(seed: int, side: int) -> np.ndarray:
    drawn = draw_face(np.random.default_rng(seed), CLASSES[seed % len(CLASSES)])
    return np.asarray(Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC))

"""The commands `faceemo prepare` and `explore`."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.commands.field_options import add_fields, given_fields
from faceemo.commands.parser import Command, whole_number
from faceemo.config import SPLITS, make_config, validate
from faceemo.data.ledger.rules import Rules
from faceemo.data.source.selection import Selection

_SELECTION = tuple(field.name for field in dataclasses.fields(Selection))
_RULES = tuple(field.name for field in dataclasses.fields(Rules))
# Those of `prepare.STAGES`, whose import takes seconds.
STAGES = ("unpack", "screen", "dedupe")

_PREPARE = """Prepares images for training: unpacks, screens for faces, leaves duplicates out.

    faceemo prepare --data-dir data
    faceemo prepare --data-dir data --policy original --near-distance 2
    faceemo prepare --data-dir data_mine --source my_faces.zip --classes calm+angry --until screen

Training does the same by itself. 'unpack' fills data/Facial_emotion_images, 'screen' runs a face
detector once per image and fills data/face_detection, 'dedupe' fills data/unique_images and reports
leaks between the splits. data/ledger.jsonl has a row for every image, data/pictures shows what was
left out. No image is deleted: other rules are applied from the ledger within seconds, and the same
rules always give the same files. Source, classes and splits are remembered; rules are not.
"""
_EXPLORE = """Unpacks and counts the images, and writes an HTML page about them.

    faceemo explore --data-dir data
    faceemo explore --data-dir data_fer --source fer2013.csv --classes happy+sad

Fills data/Facial_emotion_images, draws data/pictures/samples.png and writes data/exploration.html:
mean faces, counts, samples and brightness. After `faceemo prepare`, the page also shows what the
preparation found: leaks between the splits, and the images that were left out and why. Images of
the test split are counted, but neither shown nor measured unless --include-test is given.
"""


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Adds an option for every rule."""
    add_fields(parser, _RULES)


def read_rules(options: argparse.Namespace) -> Rules:
    """Returns the rules that the options of `add_rules` name, with the defaults of the others.

    Raises:
        UserError: If a value does not fit.
    """
    given = given_fields(options)
    return Rules.from_config(_make_config({name: given[name] for name in _RULES if name in given}))


def _read_selection(options: argparse.Namespace) -> Selection | None:
    """Returns the selection that the options name; None, for the previous one, if none does."""
    config = _make_config(given_fields(options))
    return Selection.from_config(config) if given_fields(options).keys() & set(_SELECTION) else None


def _make_config(given: Mapping[str, Any]) -> ConfigDict:
    config = make_config("vgg16")
    config.update(given)
    return validate(config)


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="last stage to run")
    add_fields(parser, ("data_dir", *_SELECTION, *_RULES, "screen", "exact_screening"))


def _prepare(options: argparse.Namespace) -> int:
    config, selection = _make_config(given_fields(options)), _read_selection(options)
    from faceemo.data.prepare import prepare

    prepare.prepare(
        Path(config.data_dir),
        Rules.from_config(config),
        options.until,
        selection=selection,
        screen=config.screen,
        exact=config.exact_screening,
    )
    return 0


def _add_explore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=whole_number, metavar="N", default=1991921, help="seed of the sample"
    )
    parser.add_argument(
        "--include-test", action="store_true", help="also show and measure images of the test split"
    )
    add_fields(parser, ("data_dir", *_SELECTION))


def _explore(options: argparse.Namespace) -> int:
    root, selection = Path(_make_config(given_fields(options)).data_dir), _read_selection(options)
    from faceemo.analysis.dataset import exploration
    from faceemo.data.prepare import pictures, prepare
    from faceemo.data.source import archive

    folder = prepare.prepare(root, last="unpack", selection=selection)
    hashes = archive.hash_images(folder)
    picture = root / prepare.PICTURES / "samples.png"
    splits = SPLITS if options.include_test else SPLITS[:2]
    pictures.draw_samples(folder, hashes, options.seed, picture, splits)
    print(f"picture {picture}")
    page = exploration.write(root, options.seed, hashes, include_test=options.include_test)
    print(f"page    {page}")
    return 0


COMMANDS = (
    Command(
        "prepare",
        "unpack images, screen them for faces, leave duplicates out",
        _PREPARE,
        _add_prepare,
        _prepare,
        usage="faceemo prepare [-h] [--until STAGE] [--FIELD VALUE ...]",
    ),
    Command(
        "explore",
        "count the images and write a page about them",
        _EXPLORE,
        _add_explore,
        _explore,
        usage="faceemo explore [-h] [--seed N] [--include-test] [--FIELD VALUE ...]",
    ),
)

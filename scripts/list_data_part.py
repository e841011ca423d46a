"""Lists the files that a host needs which trains on one part of the images.

    python scripts/list_data_part.py 1 4 mobilenet:best --source faces.zip --data-dir mine > 1.txt
    rsync -a --files-from=1.txt mine/ host1:/home/me/mine/

Prints paths below the data folder, one a line: of the files that hold part 1 of 4 of the training
images (parts are counted from 0), and of all files of validation and test. Run it where the images
are prepared; it prepares them first if necessary. Configuration and fields are those of `faceemo
train`. A host with process q of P, and no other, needs part q of P; host h of H, each with equally
many processes, needs part h of H. docs/scale.md says more.
"""

import argparse
import contextlib
import sys
from pathlib import Path

from faceemo import data, errors
from faceemo.commands import targets
from faceemo.commands.field_options import add_fields, given_fields
from faceemo.commands.parser import Parser, positive_int, whole_number
from faceemo.config import field_words
from faceemo.errors import UserError
from faceemo.experiments import load_images


def main(options: argparse.Namespace) -> None:
    """Prints the paths."""
    part, parts = options.part, options.parts
    if part >= parts:
        raise UserError(
            expected=f"a part from 0 to {parts - 1}", found=f"part {part}", fix="count from 0"
        )
    config = targets.resolve(options.target, given_fields(options)).config
    with contextlib.redirect_stdout(sys.stderr):  # of preparing
        config = load_images.replace_automatic(config, None)
        splits = data.load(config, on_disk=True)
    root = data.dataset_root(config).resolve()
    for path in sorted(load_images.list_files(splits, part, parts)):
        print(Path(path).resolve().relative_to(root))


def make_parser() -> Parser:
    """Makes the parser of the options."""
    parser = Parser(description=__doc__)
    parser.add_argument("part", type=whole_number, help="number of the part, from 0")
    parser.add_argument("parts", type=positive_int, help="number of parts")
    parser.add_argument("target", metavar="CONFIG", help="what is trained, as for faceemo train")
    add_fields(parser)
    return parser


if __name__ == "__main__":
    options = make_parser().parse_args()
    with field_words.spelled(field_words.as_option), errors.reported():
        main(options)

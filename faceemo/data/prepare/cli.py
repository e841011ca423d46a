"""The command line of the preparation, which runs it up to one of its stages."""

import argparse

from faceemo import errors
from faceemo.data.ledger import rules
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import prepare
from faceemo.data.source import selection
from faceemo.data.source.selection import Selection


def run(description: str | None, last: str) -> None:
    """Reads the arguments and runs `prepare.prepare` up to the stage `last`."""
    parser = errors.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    selection.add_arguments(parser)
    parser.add_argument(
        "--exact", action="store_true", help="detect faces in every image at 300 pixels"
    )
    rules.add_arguments(parser)
    options = parser.parse_args()
    with errors.reported():
        prepare.prepare(
            options.data_dir,
            Rules.from_options(options),
            last,
            selection=Selection.from_options(options),
            exact=options.exact,
        )

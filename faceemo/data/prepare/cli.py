"""The command line of the preparation, up to one of its stages."""

import argparse

from faceemo import errors
from faceemo.data.ledger import rules
from faceemo.data.ledger.rules import Rules
from faceemo.data.prepare import prepare
from faceemo.data.source import selection


def run(description: str | None, last: str) -> None:
    """Reads the arguments and does what is missing up to the stage `last` of `prepare.prepare`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    selection.add_arguments(parser)
    parser.add_argument("--exact", action="store_true", help="see every image at 300 pixels")
    rules.add_arguments(parser)
    options = parser.parse_args()
    with errors.reported():
        judged, asked = Rules.from_options(options), selection.of_options(options)
        prepare.prepare(options.data_dir, judged, last, selection=asked, exact=options.exact)

"""Prints the ledger as a table: measurements, fate and reason of each image.

    python scripts/show_ledger.py --data-dir data
    python scripts/show_ledger.py --fate duplicate --label sad --leaks train --limit 20
    python scripts/show_ledger.py --sort blank --columns path blank fate
    python scripts/show_ledger.py --left-out

Without --sort the images are ordered by path. The last line counts the images that match. With
--left-out the table is about the images of the source that have no row in the ledger.
"""

import dataclasses

from faceemo import errors
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import tables
from faceemo.data.source import left_out

FIELDS = [field.name for field in dataclasses.fields(ledger.Row)]


def _spell(name: str) -> str:
    """Returns the name of a fate or field as the ledger spells it: 'no face' is no_face."""
    return name.replace(" ", "_").replace("-", "_")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_data_dir(parser)
    parser.add_argument(
        "--fate", type=_spell, choices=ledger.FATES, help="only images with this fate"
    )
    parser.add_argument("--split", choices=SPLITS, help="only images of this split")
    parser.add_argument("--label", help="only images with this label")
    parser.add_argument("--leaks", choices=SPLITS, help="only images that are in this split too")
    parser.add_argument("--path", default="", help="only paths that contain this text")
    parser.add_argument(
        "--left-out",
        action="store_true",
        help="images of the source that are no originals, with label and reason; of the other "
        "options only --label, --path and --limit count",
    )
    parser.add_argument(
        "--sort", type=_spell, choices=FIELDS, help="sort by this field, the largest first"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=50,
        help="maximum number of lines, 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--columns", nargs="+", type=_spell, choices=FIELDS,
        default=tables.LEDGER_COLUMNS, metavar="FIELD",
        help=f"fields to print, from {', '.join(FIELDS)}",
    )  # fmt: skip
    options = parser.parse_args()
    with errors.reported():
        if options.left_out:
            images = left_out.read(options.data_dir)
            print(
                left_out.format_images(images, options.label, options.path, options.limit),
            )
            raise SystemExit
        rows = [
            row
            for row in ledger.read(options.data_dir)
            if options.fate in (None, row.fate)
            and options.split in (None, row.split)
            and options.label in (None, row.label)
            and (options.leaks is None or options.leaks in row.leaks)
            and options.path in row.path
        ]
        print(tables.format_ledger(rows, options.columns, options.sort, options.limit))

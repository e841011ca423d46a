"""Prints the ledger as a table: what is known of each image, what became of it and why.

    python scripts/show_ledger.py --data_dir data
    python scripts/show_ledger.py --fate duplicate --label sad --leaks train --limit 20
    python scripts/show_ledger.py --sort blank --columns path blank fate

Without an ordering of your own the images come by path. The last line counts what was found.
"""

import argparse
import dataclasses
from pathlib import Path

from faceemo import errors
from faceemo.config import SPLITS
from faceemo.data.ledger import ledger
from faceemo.data.prepare import tables

FIELDS = [field.name for field in dataclasses.fields(ledger.Row)]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument("--fate", choices=ledger.FATES, help="only these")
    parser.add_argument("--split", choices=SPLITS, help="only these")
    parser.add_argument("--label", help="only these")
    parser.add_argument("--leaks", choices=SPLITS, help="only images that this split holds too")
    parser.add_argument("--path", default="", help="only paths with these words in them")
    parser.add_argument("--sort", choices=FIELDS, help="by this field, the largest first")
    parser.add_argument("--limit", type=int, default=50, help="lines; 0: all; default: 50")
    parser.add_argument(
        "--columns", nargs="+", choices=FIELDS, default=tables.LEDGER_COLUMNS, metavar="FIELD",
        help=f"of {', '.join(FIELDS)}",
    )  # fmt: skip
    options = parser.parse_args()
    with errors.reported():
        rows = [
            row
            for row in ledger.read(options.data_dir)
            if options.fate in (None, row.fate)
            and options.split in (None, row.split)
            and options.label in (None, row.label)
            and (options.leaks is None or options.leaks in row.leaks)
            and options.path in row.path
        ]
        print(tables.ledger_table(rows, options.columns, options.sort, options.limit))

"""Scores a model separately on images that it was trained on and on images that it never saw.

    python scripts/audit_foreign.py --rows 0-28708 \
        --predictions checkpoints/vgg16-7/report/validation/predictions.csv
    python scripts/audit_foreign.py --trained rows_or_hashes.txt --data-dir data

Give the images that the model was trained on: rows of FER2013 (its files are named by row), or a
text file with one row, range of rows or sha256 of a file per line. The images are looked up in
data/ledger.jsonl. An image with the same bytes, pixels or dHash as a training image, or a near
duplicate of one or of its mirror image, counts as 'twin seen'. Without --predictions the images are
only counted.
"""

import collections
from pathlib import Path

from faceemo import errors
from faceemo.analysis import predictions_csv
from faceemo.analysis import seen_images as scored
from faceemo.commands.images import add_rules, read_rules
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.data.ledger import ledger, seen_elsewhere

if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_data_dir(parser)
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--rows", help="rows of FER2013, such as 0-28708 or 5,7,100-200")
    known.add_argument("--trained", type=Path, help="file of rows, ranges or sha256, one per line")
    parser.add_argument(
        "--predictions", type=Path, help="CSV with columns path, label and predicted"
    )
    add_rules(parser)
    options = parser.parse_args()
    with errors.reported():
        own_rules = read_rules(options)
        trained = seen_elsewhere.parse_rows(options.rows) if options.rows else None
        trained = (
            seen_elsewhere.read_training_images(options.trained) if trained is None else trained
        )
        rows = ledger.read(options.data_dir)
        seen = seen_elsewhere.classify(rows, trained, own_rules)
        counts = collections.Counter((row.split, seen[row.path]) for row in rows)
        groups = (seen_elsewhere.SEEN, seen_elsewhere.TWIN_SEEN, seen_elsewhere.UNSEEN)
        print(f"{'images':<12}" + "".join(f"{group:>12}" for group in groups))
        for split in sorted({row.split for row in rows}):
            line = "".join(f"{counts[split, group]:>12,}" for group in groups)
            print(f"{split:<12}{line}")
        if options.predictions:
            predictions = predictions_csv.read(options.predictions)
            print(f"\n{scored.format_table(scored.score_groups(predictions, seen))}")

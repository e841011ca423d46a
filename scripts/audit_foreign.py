"""Scores a model apart on images that it was trained on and on images that it never saw.

    python scripts/audit_foreign.py --rows 0-28708 \
        --predictions checkpoints/vgg16-7/report/validation/predictions.csv
    python scripts/audit_foreign.py --trained rows_or_hashes.txt --data_dir data

Say what the model was trained on: rows of FER2013 (the names of the files), or a text file with a
row, a range of rows or a sha256 of a file a line. Images are looked up in data/ledger.jsonl; one
that has the same bytes, pixels or dHash as a trained one, or is nearly it or its mirror image,
counts as 'twin seen'. Without predictions the images are counted only.
"""

import argparse
import collections
from pathlib import Path

from faceemo import errors
from faceemo.analysis import predictions_csv
from faceemo.analysis import seen_images as scored
from faceemo.data.ledger import ledger, rules, seen_elsewhere

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--rows", help="of FER2013, as 0-28708 or 5,7,100-200")
    known.add_argument("--trained", type=Path, help="file of rows, ranges or sha256, one a line")
    parser.add_argument("--predictions", type=Path, help="CSV with path, label and predicted")
    rules.add_arguments(parser)
    options = parser.parse_args()
    with errors.reported():
        asked = rules.of_options(options)
        trained = seen_elsewhere.parse_rows(options.rows) if options.rows else None
        trained = seen_elsewhere.read_trained(options.trained) if trained is None else trained
        rows = ledger.read(options.data_dir)
        seen = seen_elsewhere.seen(rows, trained, asked)
        counts = collections.Counter((row.split, seen[row.path]) for row in rows)
        groups = (seen_elsewhere.SEEN, seen_elsewhere.TWIN, seen_elsewhere.UNSEEN)
        print(f"{'images':<12}" + "".join(f"{group:>12}" for group in groups))
        for split in sorted({row.split for row in rows}):
            line = "".join(f"{counts[split, group]:>12,}" for group in groups)
            print(f"{split:<12}{line}")
        if options.predictions:
            predictions = predictions_csv.read(options.predictions)
            print(f"\n{scored.table(scored.scores(predictions, seen))}")

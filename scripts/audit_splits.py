"""Audits the splits of a set: how many images have a twin in another split, with which labels.

    faceemo prepare --source fer2013.csv --votes fer2013new.csv --data-dir data_fer2013 \
        --classes angry+disgust+fear+happy+sad+surprise+neutral
    python scripts/audit_splits.py --data-dir data_fer2013

Twins have the same pixels, equal difference hashes, nearly equal ones with alike pixels, or are
mirror images. Every image counts once, for its closest twin. The labels are those of the source.
"""

from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.data.ledger import ledger
from faceemo.data.ledger.leaks import SPLIT_PAIRS
from faceemo.data.ledger.rules import Rules
from faceemo.data.ledger.twin_labels import count_twins

_MOST = 6  # conflicts that are listed


def main(root: Path, rules: Rules) -> None:
    """Prints the tables as Markdown."""
    rows = ledger.read(root)
    counts = count_twins(rows, rules)
    totals = {split: sum(row.split == split for row in rows) for split in ("validation", "test")}
    print("| images | closest twin | images | same label | another label |")
    print("|---|---|---|---|---|")
    for pair, by_kind in counts.items():
        total = totals[SPLIT_PAIRS[pair][0]]
        for kind, count in by_kind.items():
            share = f" ({count.images / total:.2%})" if total else ""
            print(
                f"| {pair} | {kind} | {count.images:,}{share} | {count.alike:,} "
                f"| {count.images - count.alike:,} |"
            )
    print()
    for pair, by_kind in counts.items():
        *_, every = by_kind.values()
        listed = (f"{one} / {other} {n}" for (one, other), n in every.conflicts.most_common(_MOST))
        print(f"{pair}, labels of image / twin: {', '.join(listed) or 'no conflicts'}")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    add_data_dir(parser)
    parser.add_argument(
        "--near-distance", type=int, default=2, help="bits in which hashes differ (default: 2)"
    )
    options = parser.parse_args()
    with errors.reported():
        main(options.data_dir, Rules(near_distance=options.near_distance))

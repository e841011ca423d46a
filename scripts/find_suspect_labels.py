"""Finds labels that are probably wrong, and shows the images; leaves nothing out by itself.

    python scripts/find_suspect_labels.py --data_dir data
    python scripts/find_suspect_labels.py --data_dir data --arch vgg16 --weights imagenet
    python scripts/find_suspect_labels.py --data_dir data --workdir checkpoints/vgg16-7

Predicts every screened image by a model that never saw its label (logistic regression, out of
fold, on the image's oriented gradients), writes label_score and predicted_label into
data/ledger.jsonl, and data/suspect_labels.html to look at. Images are only left out if you ask for
it (--drop_below), and never those of validation and test. With
--arch a frozen pretrained backbone judges along; with --workdir that of a finished run: it has
learnt the labels of the train images, so only the others are judged.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.analysis.labels import embeddings, label_search, suspects
from faceemo.config import ARCHS


def main() -> None:
    """Reads the arguments, searches, says where the page is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument("--workdir", type=Path, help="of a finished run")
    parser.add_argument("--arch", choices=ARCHS, help="of a pretrained backbone")
    parser.add_argument("--weights", default="imagenet", help="as in training; default: imagenet")
    parser.add_argument("--image_size", type=int, default=96, help="pixels; default: 96")
    parser.add_argument("--folds", type=int, default=suspects.FOLDS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1991921, help="of the folds; %(default)s")
    parser.add_argument(
        "--drop_below",
        type=float,
        metavar="SCORE",
        help="also leave out train images whose label is less probable, 0 to below 1; 0 takes "
        "them back in; default: leave the images as they are. A training judges by its own fields: "
        "give it suspect_below=SCORE too, or they are back",
    )
    options = parser.parse_args()
    with errors.reported():
        source = None
        if options.workdir:
            source = embeddings.trained(options.workdir)
        elif options.arch:
            source = embeddings.pretrained(options.arch, options.weights, options.image_size)
        page = label_search.find(options.data_dir, options.seed, source=source, folds=options.folds)
        if options.drop_below is not None:
            label_search.leave_out(options.data_dir, options.drop_below)
        print(f"page    {page}")


if __name__ == "__main__":
    main()

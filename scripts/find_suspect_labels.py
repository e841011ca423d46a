"""Finds labels that are probably wrong and shows their images on a page; leaves out none by itself.

    python scripts/find_suspect_labels.py --data_dir data
    python scripts/find_suspect_labels.py --data_dir data --arch vgg16 --weights imagenet
    python scripts/find_suspect_labels.py --data_dir data --workdir checkpoints/vgg16-7

Predicts every screened image with a model that was not trained on its label: logistic regression on
the image's oriented gradients, out of fold. Writes label_score and predicted_label into
data/ledger.jsonl, and the page data/suspect_labels.html. Images are left out only with
--drop_below, and never from validation and test. With --arch the features of a frozen pretrained
backbone are used as well; with --workdir those of a finished run's backbone, which was trained on
the labels of the training images, so that only the other images are judged.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.analysis.labels import embeddings, label_search, suspects
from faceemo.config import ARCHS


def main() -> None:
    """Searches for suspect labels and prints the path of the page."""
    parser = errors.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        default=Path("data"),
        help="folder of the prepared data (default: %(default)s)",
    )
    parser.add_argument("--workdir", type=Path, help="folder of a finished run")
    parser.add_argument("--arch", choices=ARCHS, help="a pretrained backbone")
    parser.add_argument(
        "--weights",
        default="imagenet",
        help="weights of the backbone, as in the field `weights` (default: %(default)s)",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        default=96,
        help="side of the backbone's input, pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--folds", type=int, default=suspects.FOLDS, help="number of folds (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1991921, help="seed of the folds (default: %(default)s)"
    )
    parser.add_argument(
        "--drop_below",
        type=float,
        metavar="SCORE",
        help="also leave out training images whose label has a probability below SCORE, from 0 to "
        "below 1; 0 restores all (default: change nothing). A training run prepares the data "
        "by its own fields: give it suspect_below=SCORE too, otherwise the images come back",
    )
    options = parser.parse_args()
    with errors.reported():
        backbone = None
        if options.workdir:
            backbone = embeddings.load_trained(options.workdir)
        elif options.arch:
            backbone = embeddings.load_pretrained(options.arch, options.weights, options.image_size)
        page = label_search.find(
            options.data_dir, options.seed, backbone=backbone, folds=options.folds
        )
        if options.drop_below is not None:
            label_search.leave_out(options.data_dir, options.drop_below)
        print(f"page    {page}")


if __name__ == "__main__":
    main()

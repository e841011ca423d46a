"""Suspect labels: which images a model that never saw their label would call something else.

A logistic regression on features that know no labels predicts every image out of fold: trained on
the other folds, none of which holds a duplicate of it. Confident learning (Northcutt, Jiang and
Chuang, JAIR 70, 2021; the package cleanlab) then estimates how many labels of each class are wrong
in favour of which other, and which images those most likely are.
"""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
from cleanlab import count, filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from faceemo.data.ledger.ledger import Row
from faceemo.errors import UserError

FOLDS = 5
COMPONENTS = 300  # of each kind of features
_PENALTY = 0.01  # inverse strength, of components with unit variance


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """What is known of the labels of N images.

    Attributes:
        classes: C names, in the order of the columns.
        labels: int [N], as given.
        probabilities: float64 [N, C], out of fold.
        suspects: int [n], images whose label is probably wrong, the least probable label first.
        joint: float64 [C, C], estimated share of all images by (given, true) class; sums to 1.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    suspects: np.ndarray
    joint: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """The probability of each image's own label: float64 [N]."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image: int [N]."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of the labels that the predictions agree with."""
        return float((self.predicted == self.labels).mean())


def judge(
    features: Sequence[np.ndarray],
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int,
    folds: int = FOLDS,
) -> Verdict:
    """Predicts every image out of fold and finds the suspects.

    Args:
        features: float [N, D] of each kind.
        labels: N class names.
        groups: N names; images of one group are always in the same fold.
        seed: of the folds.
        folds: how many, from 2.

    Raises:
        UserError: if a class has fewer images than there are folds.
    """
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    smallest = np.bincount(numbers).min()
    if len(classes) < 2 or smallest < folds:
        raise UserError(
            expected=f"at least two classes, each with {folds} images or more (one per fold)",
            found=f"{len(classes)} classes, the smallest with {smallest} images",
            fix="add images, or choose fewer folds",
        )
    probabilities = out_of_fold(features, numbers, groups, seed, folds)
    with warnings.catch_warnings():
        # of classes whose labels look so good, or so few, that there is nothing to estimate
        warnings.simplefilter("ignore", UserWarning)
        # one process: a fork of one that runs JAX may hang
        suspects = filter.find_label_issues(
            numbers, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
        joint = count.estimate_joint(numbers, probabilities)
    return Verdict(tuple(map(str, classes)), numbers, probabilities, np.asarray(suspects), joint)


def out_of_fold(
    features: Sequence[np.ndarray], labels: np.ndarray, groups: Sequence[str], seed: int, folds: int
) -> np.ndarray:
    """Class probabilities float64 [N, C], each row by a model that saw neither it nor its group.

    Args:
        features: float [N, D] of each kind.
        labels: int [N], 0 to C - 1.
        groups: of N images, by name.
        seed: of the folds.
        folds: how many.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    probabilities = np.zeros((len(labels), labels.max() + 1))
    parts = splitter.split(labels, labels, members)
    for others, fold in tqdm(parts, "folds", folds, disable=None):
        # Each kind by itself: the one with the larger numbers would else be all that counts.
        reduced = [_reduced(kind, others, seed) for kind in features]
        inputs = np.hstack(reduced)
        model = LogisticRegression(C=_PENALTY, max_iter=1000)
        model.fit(inputs[others], labels[others])
        probabilities[np.ix_(fold, model.classes_)] = model.predict_proba(inputs[fold])
    return probabilities


def _reduced(kind: np.ndarray, others: np.ndarray, seed: int) -> np.ndarray:
    """Principal components with unit variance, of what the rows `others` alone tell."""
    count = min(COMPONENTS, kind.shape[1], len(others))
    reduce = make_pipeline(PCA(count, random_state=seed), StandardScaler())
    return reduce.fit(kind[others]).transform(kind)


def groups_of(rows: Sequence[Row]) -> list[str]:
    """A name for each row, the same for images that are near or exact duplicates."""
    return [row.near_group or row.dhash or row.path for row in rows]


def booked(rows: Sequence[Row], judged: Sequence[Row], verdict: Verdict) -> list[Row]:
    """`rows` with score and predicted label of those that were judged; the others unchanged."""
    found = {
        row.path: {
            # six digits: enough to rank by, and short in the ledger
            "label_score": round(float(score), 6),
            "predicted_label": verdict.classes[predicted],
        }
        for row, score, predicted in zip(judged, verdict.scores, verdict.predicted, strict=True)
    }
    return [dataclasses.replace(row, **found.get(row.path, {})) for row in rows]

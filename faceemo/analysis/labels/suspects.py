"""Finds suspect labels, those that a model which never saw them contradicts.

A logistic regression on features without label information predicts every image out of fold: it is
trained on the other folds, which hold no duplicate of the image. Confident learning (Northcutt,
Jiang and Chuang, JAIR 70, 2021; the package cleanlab) then estimates how many labels of each class
should be each other class, and which images these most likely are.
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
COMPONENTS = 300  # principal components of the features, at most
# Inverse regularisation strength, for features with a mean squared norm of 1.
_PENALTY = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """Out-of-fold predictions for N images, and the labels they make suspect.

    Attributes:
        classes: C names, in the order of the columns.
        labels: Given labels, int [N].
        probabilities: Out-of-fold probabilities, float64 [N, C].
        suspects: Indexes of images whose label is probably wrong, int [n], the least probable label
            first.
        joint: Estimated share of all images by (given, true) class, float64 [C, C]; sums to 1.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    suspects: np.ndarray
    joint: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """The probability of each image's own label, float64 [N]."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image, int [N]."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of the labels with which the predictions agree."""
        return float((self.predicted == self.labels).mean())


def judge(
    features: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int,
    folds: int = FOLDS,
) -> Verdict:
    """Predicts every image out of fold and finds the suspect labels.

    Args:
        features: Features float [N, D].
        labels: N class names.
        groups: N names; images of one group are always in the same fold.
        seed: Seed of the folds.
        folds: Number of folds, from 2.

    Raises:
        UserError: If a class has fewer images than there are folds, or there is only one class.
    """
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    smallest = np.bincount(numbers).min()
    if len(classes) < 2 or smallest < folds:
        raise UserError(
            expected=f"at least two classes, each with {folds} images or more (one per fold)",
            found=f"{len(classes)} classes, the smallest with {smallest} images",
            fix="add images, or choose fewer folds",
        )
    probabilities = predict_out_of_fold(features, numbers, groups, seed, folds)
    with warnings.catch_warnings():
        # cleanlab warns of classes whose labels are too good or too few for an estimate
        warnings.simplefilter("ignore", UserWarning)
        # one process, because a fork of a process that runs JAX may hang
        suspects = filter.find_label_issues(
            numbers, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
        joint = count.estimate_joint(numbers, probabilities)
    return Verdict(tuple(map(str, classes)), numbers, probabilities, np.asarray(suspects), joint)


def predict_out_of_fold(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str], seed: int, folds: int
) -> np.ndarray:
    """Predicts each image by a model that was trained without it and its group.

    Args:
        features: Features float [N, D].
        labels: Labels int [N], 0 to C - 1.
        groups: N names of groups.
        seed: Seed of the folds.
        folds: Number of folds.

    Returns:
        Class probabilities float64 [N, C].
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    probabilities = np.zeros((len(labels), labels.max() + 1))
    parts = splitter.split(labels, labels, members)
    for others, fold in tqdm(parts, "folds", folds, disable=None):
        inputs = _reduce(features, others, seed)
        model = LogisticRegression(C=_PENALTY, max_iter=1000)
        model.fit(inputs[others], labels[others])
        probabilities[np.ix_(fold, model.classes_)] = model.predict_proba(inputs[fold])
    return probabilities


def _reduce(features: np.ndarray, others: np.ndarray, seed: int) -> np.ndarray:
    """Projects standardized features onto principal components, fitted to rows `others`.

    The components keep their variances. Scaled to unit variance, as many components as there are
    images tell nothing: on 281 images the predictions were then no better than chance.
    """
    count = min(COMPONENTS, features.shape[1], len(others))
    reduce = make_pipeline(StandardScaler(), PCA(count, random_state=seed))
    inputs = reduce.fit(features[others]).transform(features)
    return inputs / np.sqrt(np.mean(np.sum(inputs[others] ** 2, axis=1)))


def name_duplicate_groups(rows: Sequence[Row]) -> list[str]:
    """Names a group for each row, the same for images that are near or exact duplicates."""
    return [row.near_group or row.dhash or row.path for row in rows]


def add_scores(rows: Sequence[Row], judged: Sequence[Row], verdict: Verdict) -> list[Row]:
    """Adds score and predicted label to the rows that were judged; the others stay unchanged."""
    scores = {
        row.path: {
            # six digits are enough to rank by, and short in the ledger
            "label_score": round(float(score), 6),
            "predicted_label": verdict.classes[predicted],
        }
        for row, score, predicted in zip(judged, verdict.scores, verdict.predicted, strict=True)
    }
    return [dataclasses.replace(row, **scores.get(row.path, {})) for row in rows]

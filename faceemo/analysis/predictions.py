"""A model's predictions on one split, and the scores computed from them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from faceemo.analysis.probabilities import log_probabilities
from faceemo.analysis.statistics import (
    f1_interval,
    macro_f1,
    macro_f1_interval,
    wilson_interval,
)
from faceemo.config import CLASSES
from faceemo.data.disk.stored_images import Images
from faceemo.data.votes.arrays import Votes
from faceemo.errors import UserError

# Value of a ratio without a denominator. `Any`, because scikit-learn's type is that of 'warn'.
_ZERO: Any = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions on every image of one split, checked when they are made.

    Attributes:
        probabilities: Probabilities float32 [N, C] of `classes`; each row sums to 1.
        labels: True classes, int32 [N], 0 to C - 1.
        paths: N names of the images, in the same order.
        images: The images as stored, uint8 [N, S, S] in grey or [N, S, S, 3] in colour, in memory
            or on disk.
        classes: C names.
        names: N names by which people know the images, in the same order: the paths in their own
            source. Default: `paths`.
        votes: What several annotators say of the images, if they were asked.

    Raises:
        UserError: If N is 0, the shapes disagree, a label is unknown, or a probability is not a
            number from 0 to 1.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    paths: tuple[str, ...]
    images: Images
    classes: tuple[str, ...] = CLASSES
    names: tuple[str, ...] = ()
    votes: Votes | None = None

    def __post_init__(self):
        if not self.names:
            object.__setattr__(self, "names", self.paths)
        _check_shapes(self)
        _check_values(self)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class, int32 [N]; the first of equals."""
        return self.probabilities.argmax(axis=1).astype(np.int32)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class, float32 [N]."""
        return self.probabilities.max(axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusedPair:
    """The images of one class that were predicted as another.

    Attributes:
        true: The true class, 0 to C - 1.
        predicted: The predicted class, 0 to C - 1, never `true`.
        indexes: Positions in the `Predictions`, int [n], the most confident mistake first.
    """

    true: int
    predicted: int
    indexes: np.ndarray


def find_confused_pairs(predictions: Predictions) -> list[ConfusedPair]:
    """Finds every pair of classes that was confused, the most frequent pair first."""
    predicted, confidence = predictions.predicted, predictions.confidence
    pairs = []
    for true in range(len(predictions.classes)):
        for other in range(len(predictions.classes)):
            indexes = np.flatnonzero((predictions.labels == true) & (predicted == other))
            if true != other and indexes.size:
                order = np.argsort(-confidence[indexes], kind="stable")
                pairs.append(ConfusedPair(true, other, indexes[order]))
    return sorted(pairs, key=lambda pair: -pair.indexes.size)


def compute_scores(predictions: Predictions) -> dict[str, Any]:
    """Computes the scores of one split, as plain Python values that JSON can hold.

    A precision or recall that divides by zero counts as 0. `macro_f1` averages over the classes
    that occur as a label or as a prediction (scikit-learn's rule).

    Returns:
        images: Number of images.
        classes: Class names, in the order of the confusion matrix.
        accuracy: Share of correct predictions, with accuracy_interval, its 95% Wilson interval
            [low, high].
        majority_class, majority_baseline: The most frequent class of this split and its share,
            which is the accuracy of always predicting it.
        macro_f1: Unweighted mean of the classes' F1, with macro_f1_interval, 95% by bootstrap.
        loss: Mean cross-entropy, nats.
        per_class: {name: {precision, recall, recall_interval, f1, f1_interval, support}}; an
            interval is None if no image bears on it.
        confusion: Counts [C][C], a row per true class and a column per predicted class.
    """
    # Takes seconds, which the plan and a mistaken start need not wait for.
    from sklearn import metrics

    labels, predicted, classes = predictions.labels, predictions.predicted, predictions.classes
    images, indexes = len(labels), list(range(len(predictions.classes)))
    support = np.bincount(labels, minlength=len(classes))
    table: Any = metrics.precision_recall_fscore_support(
        labels, predicted, labels=indexes, average=None, zero_division=_ZERO
    )
    precision, recall, f1, _ = table
    confusion = metrics.confusion_matrix(labels, predicted, labels=indexes)
    right = int((predicted == labels).sum())
    return {
        "images": images,
        "classes": list(classes),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "accuracy_interval": list(wilson_interval(right, images)),
        "majority_class": classes[int(support.argmax())],
        "majority_baseline": float(support.max() / images),
        "macro_f1": float(macro_f1(confusion)),
        "macro_f1_interval": list(macro_f1_interval(confusion)),
        "loss": float(cross_entropies(predictions).mean()),
        "per_class": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "recall_interval": _recall_interval(confusion[index], index),
                "f1": float(f1[index]),
                "f1_interval": _f1_interval(confusion, index),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        },
        "confusion": confusion.tolist(),
    }


def headline(scores: Mapping[str, Any], about: str = "") -> str:
    """Formats the main scores as one line for the head of a figure.

    Args:
        scores: Scores of the split (`compute_scores`).
        about: Model and images.

    Returns:
        'vgg16:7 on test: accuracy 0.712 (95% 0.700–0.724), majority class 0.366, macro-F1 0.706'.
    """
    low, high = scores["accuracy_interval"]
    text = (
        f"accuracy {scores['accuracy']:.3f} (95% {low:.3f}–{high:.3f}), majority class "
        f"{scores['majority_baseline']:.3f}, macro-F1 {scores['macro_f1']:.3f}"
    )
    return f"{about}: {text}" if about else text


def cross_entropies(predictions: Predictions) -> np.ndarray:
    """Computes the cross-entropy of every image, float64 [N], in nats."""
    rows = np.arange(len(predictions.labels))
    return -log_probabilities(predictions.probabilities[rows, predictions.labels])


def classification_report(predictions: Predictions) -> str:
    """Returns scikit-learn's table of precision, recall, F1 and support as text."""
    from sklearn import metrics

    return str(
        metrics.classification_report(
            predictions.labels,
            predictions.predicted,
            labels=list(range(len(predictions.classes))),
            target_names=predictions.classes,
            digits=3,
            zero_division=_ZERO,
        )
    )


def _recall_interval(row: np.ndarray, index: int) -> list[float] | None:
    """Returns the 95% Wilson interval of a class's recall; None if the split has no image of it."""
    support = int(row.sum())
    return list(wilson_interval(int(row[index]), support)) if support else None


def _f1_interval(confusion: np.ndarray, index: int) -> list[float] | None:
    """Returns the 95% interval of a class's F1; None if it is neither a label nor a prediction."""
    support, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
    if not support + predicted:
        return None
    return list(f1_interval(int(confusion[index, index]), support, predicted))


def _check_shapes(predictions: Predictions) -> None:
    count = len(predictions.labels)
    if count == 0:
        raise UserError(
            expected="at least one image in the split",
            found="none",
            fix="check the split's folders; faceemo explore shows the counts",
        )
    found = {
        "probabilities": predictions.probabilities.shape,
        "labels": predictions.labels.shape,
        "paths": (len(predictions.paths),),
        "names": (len(predictions.names),),
        "images": predictions.images.shape,
    }
    in_colour = predictions.images.ndim == 4
    side = predictions.images.shape[2 if in_colour else -1]
    expected_shapes = {
        "probabilities": (count, len(predictions.classes)),
        "labels": (count,),
        "paths": (count,),
        "names": (count,),
        "images": (count, side, side, 3) if in_colour else (count, side, side),
    }
    if found != expected_shapes:
        wrong = [name for name in expected_shapes if found[name] != expected_shapes[name]]
        raise UserError(
            expected="shapes " + ", ".join(f"{name} {expected_shapes[name]}" for name in wrong),
            found=", ".join(f"{name} {found[name]}" for name in wrong),
            fix="pass one row per image of the split, in the same order",
        )


def _check_values(predictions: Predictions) -> None:
    if predictions.images.dtype != np.uint8 or predictions.labels.dtype.kind not in "iu":
        raise UserError(
            expected="images of type uint8 and whole-number labels",
            found=f"{predictions.images.dtype} and {predictions.labels.dtype}",
            fix="pass the images as stored and the labels as class numbers",
        )
    classes = predictions.classes
    unknown = sorted(set(np.unique(predictions.labels).tolist()) - set(range(len(classes))))
    if unknown:
        raise UserError(
            expected=f"labels from 0 to {len(classes) - 1} ({', '.join(classes)})",
            found=f"the labels {unknown}",
            fix="number the labels in the order of the classes",
        )
    finite = np.isfinite(predictions.probabilities).all(axis=1)
    if not finite.all():
        raise UserError(
            expected="a finite probability for every class of every image",
            found=f"NaN or infinity on {int((~finite).sum())} of {finite.size} images, first "
            f"{predictions.paths[int(finite.argmin())]!r}",
            fix="the weights have diverged: train again with a smaller learning_rate",
        )
    rows = predictions.probabilities.astype(np.float64)
    # a softmax in bfloat16 sums to 1 within one part in a hundred
    proper = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) < 1e-2)
    if not proper.all():
        first = int(proper.argmin())
        raise UserError(
            expected="probabilities from 0 to 1 that sum to 1 for every image",
            found=f"{rows[first].round(4).tolist()} for {predictions.paths[first]!r}",
            fix="pass the softmax of the logits",
        )

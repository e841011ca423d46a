"""What a model answered on one split, and the numbers that follow from it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import metrics

from faceemo.analysis.statistics import (
    f1_interval,
    macro_f1,
    macro_f1_interval,
    wilson_interval,
)
from faceemo.config import CLASSES
from faceemo.errors import UserError

# What a ratio without a denominator counts as. scikit-learn infers the type from its 'warn'.
_ZERO: Any = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """A model's answers on every image of one split; one that exists is well-formed.

    Attributes:
        probabilities: float32 [N, C], each row sums to 1; the columns are `classes`.
        labels: int32 [N], the true classes, 0 to C - 1.
        paths: N names of the images, in the same order.
        images: uint8 [N, S, S], the grey images as stored.
        classes: C names.

    Raises:
        UserError: if N is 0, the shapes disagree, a label is unknown, or a probability is not a
            number from 0 to 1.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    paths: tuple[str, ...]
    images: np.ndarray
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self):
        _check_shapes(self)
        _check_values(self)

    @property
    def predicted(self) -> np.ndarray:
        """int32 [N], the most probable class; the first of equals."""
        return self.probabilities.argmax(axis=1).astype(np.int32)

    @property
    def confidence(self) -> np.ndarray:
        """float32 [N], the probability of the predicted class."""
        return self.probabilities.max(axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Confusion:
    """The images of one class that were taken for another.

    Attributes:
        true: the class they show, 0 to C - 1.
        predicted: the class they were given, 0 to C - 1, never `true`.
        indexes: int [n], positions in the `Predictions`, the most confident mistake first.
    """

    true: int
    predicted: int
    indexes: np.ndarray


def confusions(predictions: Predictions) -> list[Confusion]:
    """Every pair of classes that was confused at least once, the most frequent pair first."""
    predicted, confidence = predictions.predicted, predictions.confidence
    pairs = []
    for true in range(len(predictions.classes)):
        for other in range(len(predictions.classes)):
            indexes = np.flatnonzero((predictions.labels == true) & (predicted == other))
            if true != other and indexes.size:
                order = np.argsort(-confidence[indexes], kind="stable")
                pairs.append(Confusion(true, other, indexes[order]))
    return sorted(pairs, key=lambda pair: -pair.indexes.size)


def compute_scores(predictions: Predictions) -> dict[str, Any]:
    """The measures of one split, as plain Python values that JSON can hold.

    A precision or recall that divides by zero counts as 0. `macro_f1` averages over the classes
    that occur as a label or as an answer (scikit-learn's rule).

    Returns:
        images: number of images.
        classes: the class names, in the order of the confusion matrix.
        accuracy: share of right answers, with accuracy_interval, its 95% Wilson interval [low,
            high].
        majority_class, majority_baseline: the most frequent class of this split and its share,
            which is the accuracy of always answering it.
        macro_f1: unweighted mean of the classes' F1, with macro_f1_interval, 95% by bootstrap.
        loss: mean cross-entropy, nats.
        per_class: {name: {precision, recall, recall_interval, f1, f1_interval, support}}; an
            interval is None where no image could tell.
        confusion: [C][C] counts, a row per true and a column per predicted class.
    """
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
        "loss": float(losses(predictions).mean()),
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
    """'vgg16:7 on test: accuracy 0.712 (95% 0.700–0.724), majority class 0.366, macro-F1 0.706'.

    Args:
        scores: of `scores`.
        about: which model on which images.
    """
    low, high = scores["accuracy_interval"]
    told = (
        f"accuracy {scores['accuracy']:.3f} (95% {low:.3f}–{high:.3f}), majority class "
        f"{scores['majority_baseline']:.3f}, macro-F1 {scores['macro_f1']:.3f}"
    )
    return f"{about}: {told}" if about else told


def losses(predictions: Predictions) -> np.ndarray:
    """Cross-entropy of every image, nats: float64 [N].

    A softmax in float32 reaches 0 where the logits are more than 88 apart: its log is bounded.
    """
    rows = np.arange(len(predictions.labels))
    likelihood = predictions.probabilities[rows, predictions.labels].astype(np.float64)
    return -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny))


def classification_report(predictions: Predictions) -> str:
    """scikit-learn's table of precision, recall, F1 and support, as text."""
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
    """95% Wilson interval of a class's recall; None where the split has no image of it."""
    support = int(row.sum())
    return list(wilson_interval(int(row[index]), support)) if support else None


def _f1_interval(confusion: np.ndarray, index: int) -> list[float] | None:
    """95% interval of a class's F1; None where it is neither a label nor an answer."""
    support, answered = int(confusion[index].sum()), int(confusion[:, index].sum())
    if not support + answered:
        return None
    return list(f1_interval(int(confusion[index, index]), support, answered))


def _check_shapes(predictions: Predictions) -> None:
    count = len(predictions.labels)
    if count == 0:
        raise UserError(
            expected="at least one image in the split",
            found="none",
            fix="look into the split's folders, and run scripts/explore_data.py to see the counts",
        )
    found = {
        "probabilities": predictions.probabilities.shape,
        "labels": predictions.labels.shape,
        "paths": (len(predictions.paths),),
        "images": predictions.images.shape,
    }
    side = predictions.images.shape[-1]
    wanted = {
        "probabilities": (count, len(predictions.classes)),
        "labels": (count,),
        "paths": (count,),
        "images": (count, side, side),
    }
    if found != wanted:
        wrong = [name for name in wanted if found[name] != wanted[name]]
        raise UserError(
            expected="shapes " + ", ".join(f"{name} {wanted[name]}" for name in wrong),
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
            found=f"{unknown}",
            fix="number the classes in this order",
        )
    finite = np.isfinite(predictions.probabilities).all(axis=1)
    if not finite.all():
        raise UserError(
            expected="a probability for every class of every image",
            found=f"NaN or infinity on {int((~finite).sum())} of {finite.size} images, first "
            f"{predictions.paths[int(finite.argmin())]!r}",
            fix="the weights have diverged: train again with a smaller learning_rate",
        )
    rows = predictions.probabilities.astype(np.float64)
    # One part in a hundred is what a softmax in bfloat16 leaves.
    proper = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) < 1e-2)
    if not proper.all():
        first = int(proper.argmin())
        raise UserError(
            expected="probabilities from 0 to 1 that sum to 1 for every image",
            found=f"{rows[first].round(4).tolist()} for {predictions.paths[first]!r}",
            fix="pass the softmax of the logits",
        )

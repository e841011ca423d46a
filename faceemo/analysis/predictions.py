"""A model's predictions on one split, and the scores computed from them."""

import dataclasses
from collections.abc import Mapping, Sequence
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
from faceemo.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions on every image of one split, checked when they are made.

    Attributes:
        probabilities: Probabilities float32 [N, C] of `classes`; each row sums to 1.
        labels: True classes, int32 [N], 0 to C - 1.
        paths: N names of the images, in the same order.
        images: The grey images as stored, uint8 [N, S, S].
        classes: C names.

    Raises:
        UserError: If N is 0, the shapes disagree, a label is unknown, or a probability is not a
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
    labels, predicted, classes = predictions.labels, predictions.predicted, predictions.classes
    images = len(labels)
    confusion = _count_confusions(predictions)
    precision, recall, f1, support = _score_classes(confusion)
    right = int((predicted == labels).sum())
    return {
        "images": images,
        "classes": list(classes),
        "accuracy": right / images,
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
    """Returns precision, recall, F1 and support as text, in the layout of scikit-learn's table."""
    names = [str(name) for name in predictions.classes]
    precision, recall, f1, support = _score_classes(_count_confusions(predictions))
    scores, images = np.stack([precision, recall, f1], axis=1), len(predictions.labels)
    accuracy = (predictions.predicted == predictions.labels).mean()
    width = max(len("weighted avg"), *map(len, names))

    def line(name: str, values: Sequence[float], count: int) -> str:
        return f"{name:>{width}} " + "".join(f" {value:9.3f}" for value in values) + f" {count:9}\n"

    heading = "".join(f" {word:>9}" for word in ("precision", "recall", "f1-score", "support"))
    return "".join(
        [
            f"{'':>{width}} {heading}\n\n",
            *(line(*row) for row in zip(names, scores, support.tolist(), strict=True)),
            "\n",
            f"{'accuracy':>{width}} {'':20} {accuracy:9.3f} {images:9}\n",
            line("macro avg", scores.mean(axis=0), images),
            line("weighted avg", np.average(scores, axis=0, weights=support), images),
        ]
    )


def _count_confusions(predictions: Predictions) -> np.ndarray:
    """Counts the images of each true and predicted class: int64 [C, C], a row per true class."""
    side = len(predictions.classes)
    cells = predictions.labels.astype(np.int64) * side + predictions.predicted
    return np.bincount(cells, minlength=side * side).reshape(side, side)


def _score_classes(confusion: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns precision, recall and F1, float64 [C], 0 if undefined, and support, int64 [C]."""
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = (hits / np.maximum(total, 1) for total in (predicted, support))
    return precision, recall, 2 * hits / np.maximum(support + predicted, 1), support


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
        "images": predictions.images.shape,
    }
    side = predictions.images.shape[-1]
    expected_shapes = {
        "probabilities": (count, len(predictions.classes)),
        "labels": (count,),
        "paths": (count,),
        "images": (count, side, side),
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

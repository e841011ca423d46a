"""Ways in which publications measure accuracy on FER2013 and FER+, which differ in the images.

A protocol says which images count, what their true class is, and among which classes a network
chooses. A network that knows more classes is restricted to those of the protocol: the probabilities
of the others are left out and the rest divided by their sum.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from faceemo.analysis import calibration
from faceemo.analysis.predictions import Predictions, compute_scores
from faceemo.config import CLASSES
from faceemo.config.classes import name_key
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.twin_labels import label_of
from faceemo.data.votes.counting import form_opinion

_EIGHT = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
_SEVEN = _EIGHT[:-1]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Which images count, and what is true of them.

    Attributes:
        title: Name for people.
        classes: The classes among which a network chooses.
        find_label: Returns the true class of an image; '' or a name that is none of `classes` if
            the image does not count.
        counts_votes: Whether the class is what the votes say.
    """

    title: str
    classes: tuple[str, ...]
    find_label: Callable[[Row], str]
    counts_votes: bool = True


def find_majority(row: Row) -> str:
    """Returns the emotion with more than half of the votes, by the rule of Barsoum et al. 2016."""
    opinion = form_opinion(row.votes or {})
    return opinion.leading if opinion.majority else ""


def find_plurality(row: Row) -> str:
    """Returns the name with the most votes, single ones included, the first of equals."""
    votes = row.votes or {}
    return max(votes, key=lambda name: votes[name]) if any(votes.values()) else ""


PROTOCOLS = (
    Protocol("majority of the votes, eight emotions", _EIGHT, find_majority),
    Protocol("most votes, seven emotions", _SEVEN, find_plurality),
    Protocol("majority of the votes, four emotions", CLASSES, find_majority),
    Protocol("labels of FER2013, seven emotions", _SEVEN, label_of, counts_votes=False),
)


def lacking_classes(protocol: Protocol, classes: Sequence[str]) -> list[str]:
    """Returns the protocol's classes that a network with `classes` does not know."""
    known = {name_key(name) for name in classes}
    return [name for name in protocol.classes if name_key(name) not in known]


def apply(
    protocol: Protocol, probabilities: np.ndarray, classes: Sequence[str], rows: Sequence[Row]
) -> Predictions:
    """Restricts predictions to the images and classes of a protocol.

    Args:
        protocol: The protocol. A class of it that the network does not know is never predicted.
        probabilities: The network's, float32 [N, C].
        classes: Its C classes.
        rows: The N images, in the same order.

    Returns:
        The predictions on the images that count, without their pixels.

    Raises:
        UserError: If no image counts.
    """
    known = {name_key(name): index for index, name in enumerate(classes)}
    position = {name_key(name): index for index, name in enumerate(protocol.classes)}
    labels = np.array([position.get(name_key(protocol.find_label(row)), -1) for row in rows])
    chosen = np.flatnonzero(labels >= 0)
    kept = np.zeros((len(chosen), len(protocol.classes)))
    for column, name in enumerate(protocol.classes):
        if (source := known.get(name_key(name))) is not None:
            kept[:, column] = probabilities[chosen, source]
    # A network that is certain of another class leaves nothing; all are then equally probable.
    kept = np.maximum(kept, np.finfo(np.float32).tiny)
    return Predictions(
        (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32),
        labels[chosen].astype(np.int32),
        tuple(rows[index].path for index in chosen.tolist()),
        np.zeros((len(chosen), 1, 1), np.uint8),
        protocol.classes,
    )


def score(predictions: Predictions) -> dict[str, Any]:
    """Scores the predictions of a protocol, as plain Python values that JSON can hold.

    Returns:
        images, accuracy, accuracy_interval (95%, Wilson), macro_f1, macro_f1_interval (95%,
        bootstrap over images) and calibration_error (`calibration.measure`).
    """
    scores = compute_scores(predictions)
    names = ("images", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")
    found = {name: scores[name] for name in names}
    return found | {"calibration_error": calibration.measure(predictions)["ece"]}

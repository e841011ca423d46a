"""Scores of predictions against the votes of several annotators, beside those against labels."""

from typing import Any

import numpy as np

from faceemo.analysis.calibration import find_bins
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.probabilities import log_probabilities
from faceemo.analysis.slices import UNKNOWN, Grouping
from faceemo.analysis.statistics import macro_f1, macro_f1_interval, wilson_interval
from faceemo.data.votes.arrays import Votes

# Slices by the share of the votes that the leading emotion has: the least share of each.
_AGREEMENT = {"all agree": 1.0, "80% or more": 0.8, "60% or more": 0.6, "less than 60%": 0.0}
_TOLERANCE = 1e-6  # shares are float32
NEITHER, LABEL, VOTES = "neither", "the label", "the votes"


def score_votes(predictions: Predictions) -> dict[str, Any] | None:
    """Scores a split against votes and labels, as plain Python values that JSON can hold.

    Returns:
        None if there are no votes; otherwise

        majority, label: Scores against the emotion with the majority of the votes and against the
            source's own labels, on the images that have such a class: images, accuracy,
            accuracy_interval (95%, Wilson), macro_f1, macro_f1_interval (95%, bootstrap); None
            where no image has.
        both: The same two on the images that have both, by the same names.
        distribution: Against the share of the votes for each class: images, cross_entropy (nats),
            entropy of the votes (nats; the least cross-entropy that predictions can have) and
            calibration_error, the mean distance of confidence from the share of the votes for the
            predicted class, over bins.
        annotator: How often one annotator agrees with the majority of the others: images,
            agreement, and its 95% interval over images.
        conflicts: Images on which label and majority disagree: images, and how many the network
            predicts as the label, as the majority and as neither.
    """
    votes = predictions.votes
    if votes is None:
        return None
    both = (votes.majority >= 0) & (votes.given >= 0)
    return {
        "majority": _score(predictions, votes.majority, votes.majority >= 0),
        "label": _score(predictions, votes.given, votes.given >= 0),
        "both": {
            "majority": _score(predictions, votes.majority, both),
            "label": _score(predictions, votes.given, both),
        },
        "distribution": _score_distribution(predictions, votes),
        "annotator": _score_annotator(votes),
        "conflicts": _count_conflicts(predictions, votes),
    }


def describe(predictions: Predictions) -> list[str]:
    """Describes the scores against votes and labels in lines; none if there are no votes."""
    scores = score_votes(predictions)
    if scores is None:
        return []
    lines = []
    for kind, words in (
        ("majority", "the majority of the votes"),
        ("label", "the source's labels"),
    ):
        if found := scores[kind]:
            low, high = found["accuracy_interval"]
            lines.append(
                f"against {words}: accuracy {found['accuracy']:.4f} (95% interval {low:.4f} to "
                f"{high:.4f}), macro-F1 {found['macro_f1']:.4f}, {found['images']} images"
            )
    if (found := scores["annotator"]) and found["agreement_interval"]:
        low, high = found["agreement_interval"]
        lines.append(
            f"one annotator agrees with the majority of the others on {found['agreement']:.4f} of "
            f"the images (95% interval {low:.4f} to {high:.4f})"
        )
    return lines


def find_conflicts(votes: Votes) -> np.ndarray:
    """Returns the positions of the images on which label and majority disagree, int [n]."""
    return np.flatnonzero(
        (votes.given >= 0) & (votes.majority >= 0) & (votes.given != votes.majority)
    )


def find_side(predictions: Predictions, index: int) -> str:
    """Says on whose side a prediction is: `LABEL`, `VOTES` or `NEITHER`."""
    votes = predictions.votes
    assert votes is not None
    predicted = predictions.predicted[index]
    sides = {int(votes.given[index]): LABEL, int(votes.majority[index]): VOTES}
    return sides.get(int(predicted), NEITHER)


def group_by_agreement(votes: Votes) -> Grouping:
    """Divides images by the share of their votes that the leading emotion has."""
    return Grouping(
        "agreement of the annotators",
        "Share of the votes on an image that its leading emotion has.",
        tuple(
            next(name for name, least in _AGREEMENT.items() if share >= least - _TOLERANCE)
            if share
            else UNKNOWN
            for share in votes.agreement.tolist()
        ),
        tuple(_AGREEMENT),
    )


def _score(
    predictions: Predictions, truth: np.ndarray, chosen: np.ndarray
) -> dict[str, Any] | None:
    if not chosen.any():
        return None
    size = len(predictions.classes)
    true, predicted = truth[chosen], predictions.predicted[chosen]
    confusion = np.bincount(true * size + predicted, minlength=size**2).reshape(size, size)
    images, right = len(true), int(np.trace(confusion))
    return {
        "images": images,
        "accuracy": right / images,
        "accuracy_interval": list(wilson_interval(right, images)),
        "macro_f1": float(macro_f1(confusion)),
        "macro_f1_interval": list(macro_f1_interval(confusion)),
    }


def _score_distribution(predictions: Predictions, votes: Votes) -> dict[str, Any] | None:
    chosen = votes.distribution.sum(axis=1) > 0
    if not chosen.any():
        return None
    shares = votes.distribution[chosen].astype(np.float64)
    probabilities = predictions.probabilities[chosen].astype(np.float64)
    predicted = predictions.predicted[chosen]
    confidence = predictions.confidence[chosen].astype(np.float64)
    agreed = shares[np.arange(len(shares)), predicted]
    gaps = np.bincount(find_bins(confidence), weights=confidence - agreed)
    logs = np.log(np.where(shares > 0, shares, 1))
    return {
        "images": len(shares),
        "cross_entropy": float(-(shares * log_probabilities(probabilities)).sum(axis=1).mean()),
        "entropy": float(-(shares * logs).sum(axis=1).mean()),
        "calibration_error": float(np.abs(gaps).sum() / len(shares)),
    }


def _score_annotator(votes: Votes) -> dict[str, Any] | None:
    values = votes.human[np.isfinite(votes.human)].astype(np.float64)
    if not values.size:
        return None
    # Takes half a second, which reports without votes need not wait for.
    from scipy import stats

    mean, interval = float(values.mean()), None
    if values.size > 1 and values.std() > 0:
        low, high = stats.t.interval(0.95, values.size - 1, mean, stats.sem(values))
        interval = [max(float(low), 0.0), min(float(high), 1.0)]
    return {"images": int(values.size), "agreement": mean, "agreement_interval": interval}


def _count_conflicts(predictions: Predictions, votes: Votes) -> dict[str, int]:
    sides = [find_side(predictions, index) for index in find_conflicts(votes).tolist()]
    return {
        "images": len(sides),
        "label": sides.count(LABEL),
        "majority": sides.count(VOTES),
        "neither": sides.count(NEITHER),
    }

"""Chooses who judges each label, and measures how good each judge is.

A network that has learned an image's label would find nothing wrong with it. So the features of a
network judge only those images that it was not trained on; oriented gradients judge the others.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from faceemo.analysis.labels import embeddings, hog, suspects
from faceemo.analysis.labels.embeddings import FrozenBackbone
from faceemo.analysis.labels.suspects import Verdict
from faceemo.analysis.predictions_csv import Score, score
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row

GRADIENTS = "oriented gradients"


@dataclasses.dataclass(frozen=True)
class Judge:
    """A judge of some of the images, and how often it agrees with the labels of kept ones.

    Attributes:
        about: Its features in words.
        score: Its predictions out of fold on the kept images that it judged.
    """

    about: str
    score: Score

    @property
    def is_useless(self) -> bool:
        """Whether it may be no better than always predicting the most frequent label."""
        return self.score.interval[0] <= self.score.baseline

    def describe(self) -> str:
        """Describes the judge in a line."""
        low, high = self.score.interval
        warning = "; it may know nothing: its suspects mean nothing" if self.is_useless else ""
        return (
            f"{self.about}: predicts {self.score.accuracy:.3f} of the labels of "
            f"{self.score.images:,} kept images (95% interval {low:.3f} to {high:.3f}); always "
            f"predicting '{self.score.majority}' gives {self.score.baseline:.3f}{warning}"
        )


def judge(
    rows: Sequence[Row],
    images: np.ndarray,
    backbone: FrozenBackbone | None,
    seed: int,
    folds: int,
) -> tuple[Verdict, list[Judge]]:
    """Judges all labels, each by the best judge that has not learned it.

    Args:
        rows: N rows.
        images: Their images, uint8 [N, S, S], of the side that the backbone takes.
        backbone: A backbone, or None.
        seed: Seed of the folds.
        folds: Number of folds.

    Returns:
        The verdict on the N labels, and the judges that took part, without those of no kept image.

    Raises:
        UserError: If a class has too few images.
    """
    labels = [row.label for row in rows]
    groups = suspects.name_duplicate_groups(rows)
    seen = backbone.find_seen(rows) if backbone else frozenset()
    own = np.array([row.path not in seen for row in rows])
    if backbone is None or not _are_enough(np.array(labels)[own], set(labels), folds):
        own[:] = False
    parts: list[tuple[np.ndarray, Verdict, str]] = []
    if backbone is not None and own.any():
        chosen = np.flatnonzero(own)
        verdict = suspects.judge(
            embeddings.extract_features(backbone, images[own]),
            [labels[place] for place in chosen],
            [groups[place] for place in chosen],
            seed,
            folds,
        )
        parts.append((chosen, verdict, backbone.about))
    if not own.all():
        # It may learn from all images, but judges only those that are left.
        verdict = suspects.judge(hog.describe(images), labels, groups, seed, folds)
        parts.append((np.flatnonzero(~own), _select(verdict, ~own), GRADIENTS))
    verdict = _merge([(places, part) for places, part, _ in parts])
    found = [_measure(rows, verdict, places, about) for places, _, about in parts]
    return verdict, [one for one in found if one is not None]


def _are_enough(labels: np.ndarray, classes: set[str], folds: int) -> bool:
    """Returns whether every class has an image for each fold."""
    counts = collections.Counter(labels.tolist())
    return all(counts[name] >= folds for name in classes)


def _select(verdict: Verdict, chosen: np.ndarray) -> Verdict:
    """Selects the images of a verdict where bool [N] `chosen` holds."""
    place = np.cumsum(chosen) - 1
    return Verdict(
        verdict.classes,
        verdict.labels[chosen],
        verdict.probabilities[chosen],
        np.array([place[index] for index in verdict.suspects if chosen[index]], int),
        verdict.joint,
    )


def _merge(parts: Sequence[tuple[np.ndarray, Verdict]]) -> Verdict:
    """Merges verdicts on the images at the given places into one on all of them."""
    total = sum(len(places) for places, _ in parts)
    classes = parts[0][1].classes
    labels, probabilities = np.zeros(total, int), np.zeros((total, len(classes)))
    joint, suspected = np.zeros((len(classes), len(classes))), []
    for places, verdict in parts:
        labels[places], probabilities[places] = verdict.labels, verdict.probabilities
        joint += verdict.joint * len(places) / total
        suspected.append(places[verdict.suspects])
    indexes = np.concatenate(suspected)
    scores = probabilities[indexes, labels[indexes]]
    ordered = indexes[np.argsort(scores, kind="stable")]
    return Verdict(classes, labels, probabilities, ordered, joint)


def _measure(rows: Sequence[Row], verdict: Verdict, places: np.ndarray, about: str) -> Judge | None:
    """Measures a judge on the kept images at `places`; None if there are none."""
    kept = [int(place) for place in places if rows[place].fate == ledger.KEPT]
    if not kept:
        return None
    names = np.array(verdict.classes)
    labels, predicted = names[verdict.labels[kept]], names[verdict.predicted[kept]]
    return Judge(about, score(list(zip(labels.tolist(), predicted.tolist(), strict=True))))

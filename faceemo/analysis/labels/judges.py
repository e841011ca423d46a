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
from faceemo.analysis.statistics import wilson_interval
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row

GRADIENTS = "oriented gradients"


@dataclasses.dataclass(frozen=True)
class Judge:
    """A judge of some of the images, and how often it agrees with the labels of kept ones.

    Attributes:
        about: Its features in words.
        images: Number of kept images that it judged.
        right: Number of those whose label it predicted, out of fold.
        majority: The most frequent label among them.
        baseline: Share of that label.
    """

    about: str
    images: int
    right: int
    majority: str
    baseline: float

    @property
    def accuracy(self) -> float:
        """Share of the labels that it predicted."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval of the accuracy."""
        return wilson_interval(self.right, self.images)

    @property
    def is_useless(self) -> bool:
        """Whether it may be no better than always predicting the most frequent label."""
        return self.interval[0] <= self.baseline

    def describe(self) -> str:
        """Describes the judge in a line."""
        low, high = self.interval
        warning = "; it may know nothing: its suspects mean nothing" if self.is_useless else ""
        return (
            f"{self.about}: predicts {self.accuracy:.3f} of the labels of {self.images:,} kept "
            f"images (95% interval {low:.3f} to {high:.3f}); always predicting '{self.majority}' "
            f"gives {self.baseline:.3f}{warning}"
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
    right = int((verdict.predicted[kept] == verdict.labels[kept]).sum())
    counts = np.bincount(verdict.labels[kept])
    most = int(counts.argmax())
    return Judge(about, len(kept), right, verdict.classes[most], float(counts[most] / len(kept)))

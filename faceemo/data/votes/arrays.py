"""The votes on the images of a split, as arrays for training and evaluation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from faceemo.config.classes import name_key
from faceemo.data.votes import counting
from faceemo.data.votes.counting import Counts


@dataclasses.dataclass(frozen=True, eq=False)
class Votes:
    """What annotators say of the N images of a split, in its order, for the C classes of a run.

    Attributes:
        distribution: Share of the votes for each class, without single votes and without those for
            anything else, float32 [N, C]. A row has the sum 1, or 0 if no vote is left.
        majority: Position of the class that has more than half of the votes, int32 [N]; -1 if none
            has, or if it is no class of the run.
        agreement: Share of all votes for the name that has the most, float32 [N]; 0 without votes.
        human: How often one annotator agrees with the majority of the others, float32 [N]
            (`counting.human_agreement`); NaN where fewer than two voted.
        given: Position of the class that the source's own label names, int32 [N]; -1 if that is no
            class of the run, or if the source has none.
    """

    distribution: np.ndarray
    majority: np.ndarray
    agreement: np.ndarray
    human: np.ndarray
    given: np.ndarray


def make_votes(
    counts: Sequence[Counts | None], given: Sequence[str | None], classes: Sequence[str]
) -> Votes:
    """Makes the arrays of a split.

    Args:
        counts: The votes on each image by name; None where nobody voted.
        given: Each image's label in the source; None if it has none.
        classes: The classes of the run, in the order of the logits.
    """
    position = {name_key(label): index for index, label in enumerate(classes)}
    shares = np.zeros((len(counts), len(classes)), np.float64)
    majority = np.full(len(counts), -1, np.int32)
    agreement, human = np.zeros(len(counts)), np.full(len(counts), np.nan)
    for row, votes in enumerate(counts):
        if not votes or not sum(votes.values()):
            continue
        shares[row] = counting.class_votes(votes, classes)
        opinion = counting.form_opinion(votes)
        if opinion.majority:
            majority[row] = position.get(name_key(opinion.leading), -1)
        agreement[row] = max(votes.values()) / sum(votes.values())
        human[row] = counting.human_agreement(votes)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    labels = [-1 if label is None else position.get(name_key(label), -1) for label in given]
    return Votes(
        distribution=shares.astype(np.float32),
        majority=majority,
        agreement=agreement.astype(np.float32),
        human=human.astype(np.float32),
        given=np.array(labels, np.int32),
    )

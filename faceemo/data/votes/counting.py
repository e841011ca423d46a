"""The votes of several annotators on one image: what they say of its emotion.

The rules are those of FER+ (Barsoum, Zhang, Canton Ferrer and Zhang 2016, "Training Deep Networks
for Facial Expression Recognition with Crowd-Sourced Label Distribution"). A single vote is noise
and is dropped. An emotion has the majority if it has more than half of the votes that are left,
those for 'unknown' and 'not a face' included.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from faceemo.config import SPLITS, TARGETS
from faceemo.config.classes import name_key

Counts = Mapping[str, int]  # number of votes by what was voted for

# Votes for no emotion, by `name_key`: what they say about the image.
NO_EMOTION = {
    "unknown": "of unknown emotion",
    "nf": "not a face",
    "not a face": "not a face",
    "not_a_face": "not a face",
}
LABEL, MAJORITY, DISTRIBUTION, SAMPLED = TARGETS


class Opinion(NamedTuple):
    """What the votes on an image say.

    Attributes:
        leading: The name with the most votes, the first of them in the order of the votes; '' if
            no name has two.
        majority: Whether it has more than half of the votes, without single ones.
    """

    leading: str
    majority: bool

    @property
    def is_emotion(self) -> bool:
        """Whether the leading name is that of an emotion."""
        return bool(self.leading) and name_key(self.leading) not in NO_EMOTION


def drop_single_votes(counts: Counts) -> dict[str, int]:
    """Returns the votes without those that only one annotator gave."""
    return {name: count if count > 1 else 0 for name, count in counts.items()}


def form_opinion(counts: Counts) -> Opinion:
    """Says which name leads, and whether it has the majority (see the module)."""
    counts = drop_single_votes(counts)
    total = sum(counts.values())
    if not total:
        return Opinion("", False)
    leading = max(counts, key=lambda name: counts[name])  # the first of equals
    return Opinion(leading, 2 * counts[leading] > total)


def find_objection(counts: Counts | None, split: str, targets: str) -> str:
    """Says why the votes leave an image out of a split.

    Validation and test need a majority, by which they are scored. Training images need one only
    for the targets 'majority'; for 'distribution' and 'sampled' it is enough that an emotion leads.

    Args:
        counts: The votes; None if there are none on this image.
        split: One of `faceemo.config.SPLITS`.
        targets: One of `faceemo.config.TARGETS`.

    Returns:
        The reason; '' if the image stays, as all do for the targets 'label'.
    """
    if targets == LABEL:
        return ""
    if counts is None:
        return "nobody voted on it"
    opinion = form_opinion(counts)
    if opinion.leading and not opinion.is_emotion:
        return f"the votes say that it is {NO_EMOTION[name_key(opinion.leading)]}: {_list(counts)}"
    if not opinion.leading:
        return f"no emotion has two votes: {_list(counts)}"
    if not opinion.majority and (split != SPLITS[0] or targets == MAJORITY):
        return f"no emotion has more than half of the votes: {_list(counts)}"
    return ""


def choose_label(counts: Counts | None, given: str) -> str:
    """Returns the emotion that leads the votes; the label that was given if none does.

    Args:
        counts: The votes; None if there are none.
        given: The label of the source; '' if it has none.
    """
    opinion = form_opinion(counts or {})
    return opinion.leading if opinion.is_emotion else given


def human_agreement(counts: Counts) -> float:
    """Computes how often one annotator agrees with the majority of the others.

    Each annotator in turn is compared with the name that has the most of the others' votes; where
    several names have equally many, the annotator agrees with each of them in part.

    Returns:
        The mean over the annotators, 0 to 1; NaN where fewer than two voted.
    """
    votes = list(counts.values())
    total = sum(votes)
    if total < 2:
        return float("nan")
    agreed = 0.0
    for name, own in enumerate(votes):
        others = [count - (other == name) for other, count in enumerate(votes)]
        most = max(others)
        if own and others[name] == most:
            agreed += own / others.count(most)
    return agreed / total


def class_votes(counts: Counts, classes: Sequence[str]) -> list[int]:
    """Returns the votes for each class of a run, without single ones, in the order of `classes`."""
    known = {name_key(name): count for name, count in drop_single_votes(counts).items()}
    return [known.get(name_key(label), 0) for label in classes]


def _list(counts: Counts) -> str:
    """Lists the votes from the most to the least: '4 neutral, 3 anger'."""
    given = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count} {name}" for name, count in given if count)

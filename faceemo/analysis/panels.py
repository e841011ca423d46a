"""How often other annotators would name the same emotion, which limits what a network can reach.

Nobody knows what ten other people would have voted, but the votes that there are tell two things.
Two halves of an image's annotators agree about as often as two panels of five people would. Votes
drawn anew from an image's own, with replacement, stand for another panel of its size; it agrees
more often than other people would, since an image whose ten votes are equal cannot get others.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from faceemo.analysis.fer_protocols import Protocol
from faceemo.config.classes import name_key
from faceemo.data.ledger.ledger import Row

_DRAWS = 10  # of each image


@dataclasses.dataclass(frozen=True)
class PanelAgreement:
    """How often two panels of annotators agree, where both give an image a class of a protocol.

    Attributes:
        halves: Share of the pairs of halves of an image's annotators that agree; NaN if no half
            gives a class.
        redrawn: Share of the panels drawn anew from an image's votes that agree with the votes;
            NaN if there are none.
    """

    halves: float
    redrawn: float


def compare_panels(rows: Sequence[Row], protocol: Protocol, seed: int = 0) -> PanelAgreement:
    """Compares panels of annotators by the rule of a protocol that counts votes.

    Args:
        rows: Images; those without votes do not count.
        protocol: Says what a panel's votes make of an image.
        seed: Seed of the draws, of which every image has ten.
    """
    rng = np.random.default_rng(seed)
    classes = {name_key(name) for name in protocol.classes}
    halves, redrawn = [], []
    for row in rows:
        if not row.votes:
            continue
        names, counts = list(row.votes), np.array(list(row.votes.values()))
        votes = np.repeat(np.arange(len(counts)), counts)

        def find_class(voted: np.ndarray, row: Row = row, names: Sequence[str] = names) -> str:
            found = np.bincount(voted, minlength=len(names)).tolist()
            panel = dataclasses.replace(row, votes=dict(zip(names, found, strict=True)))
            name = name_key(protocol.find_label(panel))
            return name if name in classes else ""

        own = find_class(votes)
        for _ in range(_DRAWS):
            shuffled = rng.permutation(votes)
            one, other = (find_class(shuffled[half::2]) for half in (0, 1))
            if one and other:
                halves.append(one == other)
            if own and (new := find_class(rng.choice(votes, len(votes)))):
                redrawn.append(own == new)
    return PanelAgreement(
        *(float(np.mean(found)) if found else np.nan for found in (halves, redrawn))
    )

"""Collects the images on which the source's label and the votes of annotators disagree."""

from typing import Any

import numpy as np

from faceemo.analysis import vote_scores
from faceemo.analysis.predictions import Predictions
from faceemo.analysis.theme import template

MAX_IMAGES = 24  # of each side


def list_conflicts(predictions: Predictions) -> list[dict[str, Any]]:
    """Lists the conflicts by the side that the network takes.

    Returns:
        For each side that the network takes (the votes, the label, neither): side, count and
        images, those of the greatest confidence first, at most `MAX_IMAGES`; for each image:
        source, name, given, majority, share (of the votes for the majority), predicted and
        probability. Empty if there are no votes.
    """
    votes = predictions.votes
    if votes is None:
        return []
    found: dict[str, list[int]] = {
        vote_scores.VOTES: [],
        vote_scores.LABEL: [],
        vote_scores.NEITHER: [],
    }
    for index in vote_scores.find_conflicts(votes).tolist():
        found[vote_scores.find_side(predictions, index)].append(index)
    classes = predictions.classes
    result = []
    for side, indexes in found.items():
        order = np.argsort(-predictions.confidence[indexes], kind="stable")
        images = [
            {
                "source": template.image_uri(predictions.images[index]),
                "name": predictions.names[index],
                "given": classes[votes.given[index]],
                "majority": classes[votes.majority[index]],
                "share": float(votes.distribution[index, votes.majority[index]]),
                "predicted": classes[predictions.predicted[index]],
                "probability": float(predictions.confidence[index]),
            }
            for index in (indexes[place] for place in order[:MAX_IMAGES].tolist())
        ]
        if images:
            result.append({"side": side, "count": len(indexes), "images": images})
    return result

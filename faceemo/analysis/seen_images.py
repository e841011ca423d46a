"""Compares a model's scores on images that it was trained on with those on unseen images."""

from collections.abc import Mapping

from faceemo.analysis.predictions_csv import Score, accuracy_difference, score
from faceemo.data.ledger.seen_elsewhere import SEEN, TWIN_SEEN, UNSEEN
from faceemo.errors import UserError

ALL = "all"


def score_groups(
    predictions: Mapping[str, tuple[str, str]], seen: Mapping[str, str]
) -> dict[str, Score]:
    """Scores each non-empty group of images: all, seen, twin seen and unseen.

    Args:
        predictions: {path: (label, predicted class)}.
        seen: {path: group} (`faceemo.data.ledger.seen_elsewhere.classify`).

    Raises:
        UserError: If an image is not in `seen`.
    """
    unknown = sorted(predictions.keys() - seen.keys())
    if unknown:
        raise UserError(
            expected="predictions on images of this ledger",
            found=f"{len(unknown):,} images that it does not hold, such as {unknown[0]!r}",
            fix="give the folder of the dataset that was evaluated as --data-dir",
        )
    groups = {ALL: list(predictions.values())}
    for group in (SEEN, TWIN_SEEN, UNSEEN):
        groups[group] = [pair for path, pair in predictions.items() if seen[path] == group]
    return {group: score(pairs) for group, pairs in groups.items() if pairs}


def format_table(scores: Mapping[str, Score]) -> str:
    """Formats the scores as aligned text, with the gain on images that the model has seen."""
    lines = [f"{'images':<10}{'number':>8}{'accuracy':>10}   {'95% interval':<16}{'macro-F1':>9}"]
    for group, result in scores.items():
        low, high = result.interval
        interval = f"{low:.3f} to {high:.3f}"
        lines.append(
            f"{group:<10}{result.images:>8,}{result.accuracy:>10.3f}   {interval:<16}"
            f"{result.macro_f1:>9.3f}"
        )
    if SEEN in scores and UNSEEN in scores:
        gap, low, high = accuracy_difference(scores[SEEN], scores[UNSEEN])
        lines.append(
            f"accuracy on seen minus unseen images: {100 * gap:+z.1f} points "
            f"(95% interval {100 * low:+z.1f} to {100 * high:+z.1f})"
        )
    return "\n".join(lines)

"""What a model answers on images that it was trained on, and on those it never saw."""

from collections.abc import Mapping

from faceemo.analysis.predictions_csv import Score, difference, score
from faceemo.data.ledger.seen_elsewhere import SEEN, TWIN, UNSEEN
from faceemo.errors import UserError

ALL = "all"


def scores(predictions: Mapping[str, tuple[str, str]], seen: Mapping[str, str]) -> dict[str, Score]:
    """The score of each group of images that is not empty: all, seen, twin seen, unseen.

    Args:
        predictions: {path: (label, answer)}.
        seen: {path: group} (`faceemo.data.ledger.seen_elsewhere.seen`).

    Raises:
        UserError: if an image is not in `seen`.
    """
    unknown = sorted(predictions.keys() - seen.keys())
    if unknown:
        raise UserError(
            expected="predictions on images of this ledger",
            found=f"{len(unknown):,} that it does not hold: {unknown[0]!r} and so on",
            fix="choose the dataset that was evaluated with --data_dir",
        )
    groups = {ALL: list(predictions.values())}
    for group in (SEEN, TWIN, UNSEEN):
        groups[group] = [pair for path, pair in predictions.items() if seen[path] == group]
    return {group: score(pairs) for group, pairs in groups.items() if pairs}


def table(found: Mapping[str, Score]) -> str:
    """The scores as aligned text, and what having seen the images is worth."""
    lines = [f"{'images':<10}{'number':>8}{'accuracy':>10}   {'95% interval':<16}{'macro-F1':>9}"]
    for group, result in found.items():
        low, high = result.interval
        interval = f"{low:.3f} to {high:.3f}"
        lines.append(
            f"{group:<10}{result.images:>8,}{result.accuracy:>10.3f}   {interval:<16}"
            f"{result.macro_f1:>9.3f}"
        )
    if SEEN in found and UNSEEN in found:
        gap, low, high = difference(found[SEEN], found[UNSEEN])
        lines.append(
            f"on images it has seen it is {100 * gap:+.1f} points better "
            f"(95% interval {100 * low:+.1f} to {100 * high:+.1f})"
        )
    return "\n".join(lines)

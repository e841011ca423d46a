"""Computes the share of each class that cleaning left out, and its leaks, as bars for a page."""

import itertools
from collections.abc import Mapping
from typing import Any

from faceemo.analysis.dataset import charts
from faceemo.analysis.dataset.census import Census
from faceemo.data.ledger import ledger
from faceemo.data.prepare import pictures
from faceemo.data.prepare.sheet import BLUE, INK


def fate_styles() -> dict[str, tuple[str, str]]:
    """Returns (CSS colour, words) of each fate, as in the preparation's PNGs."""
    themed = {BLUE: "var(--first)", INK: "var(--ink)"}
    return {
        fate: (themed.get(colour, colour), words)
        for fate, (colour, words) in pictures.FATES.items()
    }


def compute_removed(counted: Census) -> dict[str, Any] | None:
    """Computes the share of each split and class left out for each reason; None before screening.

    The shares are those of this dataset and, if they apply, of the original project.
    """
    if "screen" not in counted.stages:
        return None
    styles = fate_styles()
    removed = {fate: style for fate, style in styles.items() if fate != ledger.KEPT}
    originals = {
        ledger.NO_FACE: styles[ledger.NO_FACE],
        ledger.DUPLICATE: (styles[ledger.DUPLICATE][0], "duplicate or conflicting"),
    }
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, classes in counted.count_fates().items():
        splits[split] = []
        for label, fates in classes.items():
            bars = [_make_bar("here", fates, fates.total(), removed)]
            if counted.is_comparable:
                bars.append(
                    _make_bar("original", *_published_removed(counted, split, label), originals)
                )
            splits[split].append({"label": label, "bars": bars})
    everything = [bar for rows in splits.values() for row in rows for bar in row["bars"]]
    widest = charts.round_up([bar["share"] or 0 for bar in everything])
    for bar in everything:
        bar["pieces"] = charts.make_stack(
            bar["counts"], max(bar["total"], 1), widest, bar["styles"]
        )
    present = {row.fate for row in counted.rows}
    legend = [style for fate, style in removed.items() if fate in present]
    return {"splits": splits, "widest": widest, "legend": legend}


def _published_removed(counted: Census, split: str, label: str) -> tuple[dict[str, int], int]:
    """Returns the original's {fate: images} for the stages finished here, and its total."""
    left = [
        stage[split][label]
        for stage in map(counted.published_counts, counted.stages)
        if stage is not None
    ]
    fates = (ledger.NO_FACE, ledger.DUPLICATE)
    removed = [before - after for before, after in itertools.pairwise(left)]
    return dict(zip(fates, removed, strict=False)), left[0]


def _make_bar(
    project: str, counts: Mapping[str, int], total: int, styles: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    out = sum(counts.get(fate, 0) for fate in styles)
    share = out / total if total else None
    return {"project": project, "counts": counts, "total": total, "styles": styles, "share": share}


def compute_leaks(counted: Census) -> dict[str, Any] | None:
    """Counts the images of each class that occur in two splits; None before the search for them."""
    if "dedupe" not in counted.stages:
        return None
    before, after = counted.leaks()
    totals = counted.count_images("unpack")
    shares = [
        numbers.get(label, 0) / max(totals[pair.split(" in ")[0]][label], 1)
        for pair, kinds in before.items()
        for numbers in kinds.values()
        for label in counted.classes
    ]
    widest = charts.round_up(shares)
    pairs = []
    for pair, kinds in before.items():
        searched = pair.split(" in ")[0]
        rows = []
        for label in counted.classes:
            total = totals[searched][label]
            bars = []
            for kind, numbers in kinds.items():
                found = numbers.get(label, 0)
                bars.append(
                    {
                        "kind": kind,
                        "before": found,
                        "after": after[pair][kind].get(label, 0),
                        "width": 100 * found / max(total, 1) / widest,
                    }
                )
            rows.append({"label": label, "total": total, "bars": bars})
        found = sum(sum(numbers.values()) for numbers in kinds.values())
        pairs.append(
            {
                "pair": pair,
                "searched": searched,
                "rows": rows,
                "found": found,
                "images": sum(totals[searched].values()),
            }
        )
    return {"pairs": pairs, "widest": widest}

"""What cleaning a dataset costs and mends, class by class, as bars for a page."""

import itertools
from collections.abc import Mapping
from typing import Any

from faceemo.analysis.dataset import charts
from faceemo.analysis.dataset.census import Census
from faceemo.data.ledger import ledger
from faceemo.data.prepare import pictures
from faceemo.data.prepare.sheet import BLUE, INK


def looks_of_fates() -> dict[str, tuple[str, str]]:
    """Colour in CSS and words of each fate, as in the PNGs of the preparation."""
    themed = {BLUE: "var(--first)", INK: "var(--ink)"}
    return {
        fate: (themed.get(colour, colour), words)
        for fate, (colour, words) in pictures.FATES.items()
    }


def losses(counted: Census) -> dict[str, Any] | None:
    """Per split and class the share that each reason cost, here and in the original."""
    if "screen" not in counted.stages:
        return None
    colours = looks_of_fates()
    lost = {fate: look for fate, look in colours.items() if fate != ledger.KEPT}
    originals = {
        ledger.NO_FACE: colours[ledger.NO_FACE],
        ledger.DUPLICATE: (colours[ledger.DUPLICATE][0], "duplicate or conflicting"),
    }
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, classes in counted.fates().items():
        splits[split] = []
        for label, fates in classes.items():
            bars = [_loss("here", fates, fates.total(), lost)]
            if counted.comparable:
                bars.append(_loss("original", *_published(counted, split, label), originals))
            splits[split].append({"label": label, "bars": bars})
    everything = [bar for rows in splits.values() for row in rows for bar in row["bars"]]
    widest = charts.ceiling([bar["share"] or 0 for bar in everything])
    for bar in everything:
        bar["pieces"] = charts.stack(bar["counts"], max(bar["total"], 1), widest, bar["look"])
    present = {row.fate for row in counted.rows}
    legend = [look for fate, look in lost.items() if fate in present]
    return {"splits": splits, "widest": widest, "legend": legend}


def _published(counted: Census, split: str, label: str) -> tuple[dict[str, int], int]:
    """What the original lost to the stages that are done here, and of how many images."""
    left = [
        stage[split][label] for stage in map(counted.published, counted.stages) if stage is not None
    ]
    fates = (ledger.NO_FACE, ledger.DUPLICATE)
    lost = [before - after for before, after in itertools.pairwise(left)]
    return dict(zip(fates, lost, strict=False)), left[0]


def _loss(
    whose: str, counts: Mapping[str, int], total: int, look: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    out = sum(counts.get(fate, 0) for fate in look)
    share = out / total if total else None
    return {"whose": whose, "counts": counts, "total": total, "look": look, "share": share}


def leaks(counted: Census) -> dict[str, Any] | None:
    """Per pair of splits and class how many images occur in the other; None before hashing."""
    if "dedupe" not in counted.stages:
        return None
    before, after = counted.leaks()
    totals = counted.counts("unpack")
    shares = [
        numbers.get(label, 0) / max(totals[pair.split(" in ")[0]][label], 1)
        for pair, sames in before.items()
        for numbers in sames.values()
        for label in counted.classes
    ]
    widest = charts.ceiling(shares)
    pairs = []
    for pair, sames in before.items():
        searched = pair.split(" in ")[0]
        rows = []
        for label in counted.classes:
            total = totals[searched][label]
            bars = []
            for sameness, numbers in sames.items():
                found = numbers.get(label, 0)
                bars.append(
                    {
                        "sameness": sameness,
                        "before": found,
                        "after": after[pair][sameness].get(label, 0),
                        "width": 100 * found / max(total, 1) / widest,
                    }
                )
            rows.append({"label": label, "total": total, "bars": bars})
        found = sum(sum(numbers.values()) for numbers in sames.values())
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

"""Writes the page about suspect labels: their number by label and predicted class, and examples."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.analysis.dataset.galleries import PageImages
from faceemo.analysis.labels.judges import Judge
from faceemo.analysis.labels.suspects import Verdict
from faceemo.analysis.theme import template
from faceemo.analysis.theme.matrix import matrix_cells
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.sample import sample

NAME = "suspect_labels.html"
IMAGES_PER_PAIR = 24


def write(
    root: Path,
    rows: Sequence[Row],
    judged: Sequence[Row],
    verdict: Verdict,
    judges: Sequence[Judge],
    folds: int,
) -> Path:
    """Writes root/suspect_labels.html about the images that are kept; returns its path.

    Args:
        root: Folder of the dataset.
        rows: The ledger, with the scores added.
        judged: The N rows that `verdict` is about.
        verdict: Result of the search.
        judges: Who judged, and how well (`judges.judge`).
        folds: Number of folds.
    """
    page_images = PageImages(root)
    kept = np.array([row.fate == ledger.KEPT for row in judged])
    suspects = [int(index) for index in verdict.suspects if kept[index]]
    pairs = _list_pairs(page_images, judged, verdict, suspects)
    counts = np.diag(np.bincount(verdict.labels[kept], minlength=len(verdict.classes)))
    for index in suspects:
        counts[verdict.labels[index], verdict.labels[index]] -= 1
        counts[verdict.labels[index], verdict.predicted[index]] += 1
    text = template.render(
        "analysis/labels/suspects.html.j2",
        title=f"{len(suspects):,} suspect labels",
        root=root,
        drawn=(root / sample.MANIFEST_NAME).exists(),
        classes=verdict.classes,
        kept=int(kept.sum()),
        suspects=len(suspects),
        judges=judges,
        estimated=float(1 - np.trace(verdict.joint)),
        folds=folds,
        splits=sorted({row.split for row in judged}),
        matrix=matrix_cells(
            verdict.classes,
            counts.tolist(),
            lambda label, other: _pair_id(verdict, label, other) if label != other else None,
        ),
        pairs=pairs,
        conflicts=_list_conflicts(page_images, rows),
    )
    path = root / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _list_pairs(
    page_images: PageImages, judged: Sequence[Row], verdict: Verdict, suspects: Sequence[int]
) -> list[dict[str, Any]]:
    """Lists the suspects by (label, predicted class), the most frequent pair first."""
    members: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    for index in suspects:  # the least probable label first
        members[int(verdict.labels[index]), int(verdict.predicted[index])].append(index)
    pairs = []
    for (label, other), indexes in sorted(members.items(), key=lambda item: -len(item[1])):
        images = [
            {
                **page_images.load(judged[index].path),
                "score": float(verdict.scores[index]),
                "rival": float(verdict.probabilities[index, other]),
            }
            for index in indexes[:IMAGES_PER_PAIR]
        ]
        names = verdict.classes[label], verdict.classes[other]
        pairs.append(
            {
                "label": names[0],
                "other": names[1],
                "count": len(indexes),
                "id": _pair_id(verdict, label, other),
                "images": images,
            }
        )
    return pairs


def _pair_id(verdict: Verdict, label: int, other: int) -> str:
    return f"{verdict.classes[label]}-{verdict.classes[other]}"


def _list_conflicts(page_images: PageImages, rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
    """Lists the groups of duplicates with different labels, with the score of each image."""
    groups: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        if row.fate == ledger.CONFLICT and row.label_score is not None:
            groups[row.near_group or row.duplicate_group or row.path].append(row)
    return [
        [
            {
                **page_images.load(row.path),
                "score": row.label_score,
                "predicted": row.predicted_label,
            }
            for row in sorted(group, key=lambda row: row.path)
        ]
        for _, group in sorted(groups.items())
    ]

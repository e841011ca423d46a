"""The page about suspect labels: how many of which kind there are, and the strongest of each."""

import collections
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from faceemo import staging
from faceemo.analysis.dataset.galleries import Album
from faceemo.analysis.labels.suspects import Verdict
from faceemo.analysis.theme import template
from faceemo.analysis.theme.matrix import matrix_cells
from faceemo.data.ledger import ledger
from faceemo.data.ledger.ledger import Row
from faceemo.data.sample import sample

NAME = "suspect_labels.html"
SHOWN = 24  # images per pair of labels


def write(
    root: Path,
    rows: Sequence[Row],
    judged: Sequence[Row],
    verdict: Verdict,
    about: str,
    folds: int,
) -> Path:
    """Writes root/suspect_labels.html about the images that are kept.

    Args:
        root: folder of the dataset.
        rows: the ledger, with the verdict booked.
        judged: the N rows that `verdict` is about.
        verdict: what was found.
        about: what predicted, in words.
        folds: out of how many folds.
    """
    album = Album(root)
    kept = np.array([row.fate == ledger.KEPT for row in judged])
    suspects = [int(index) for index in verdict.suspects if kept[index]]
    pairs = _pairs(album, judged, verdict, suspects)
    counts = np.diag(np.bincount(verdict.labels[kept], minlength=len(verdict.classes)))
    for index in suspects:
        counts[verdict.labels[index], verdict.labels[index]] -= 1
        counts[verdict.labels[index], verdict.predicted[index]] += 1
    agreed = float((verdict.predicted == verdict.labels)[kept].mean()) if kept.any() else None
    support = np.bincount(verdict.labels[kept], minlength=len(verdict.classes))
    most = int(support.argmax())
    majority = verdict.classes[most], float(support[most] / max(kept.sum(), 1))
    text = template.render(
        "analysis/labels/suspects.html.j2",
        title=f"{len(suspects):,} suspect labels",
        root=root,
        drawn=(root / sample.MANIFEST_NAME).exists(),
        classes=verdict.classes,
        kept=int(kept.sum()),
        suspects=len(suspects),
        agreed=agreed,
        majority=majority,
        estimated=float(1 - np.trace(verdict.joint)),
        about=about,
        folds=folds,
        splits=sorted({row.split for row in judged}),
        matrix=matrix_cells(
            verdict.classes,
            counts.tolist(),
            lambda label, other: _link(verdict, label, other) if label != other else None,
        ),
        pairs=pairs,
        conflicts=_conflicts(album, rows),
    )
    path = root / NAME
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _pairs(
    album: Album, judged: Sequence[Row], verdict: Verdict, suspects: Sequence[int]
) -> list[dict[str, Any]]:
    """The suspects by (label, predicted class), the most frequent pair first."""
    members: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    for index in suspects:  # the least probable label first
        members[int(verdict.labels[index]), int(verdict.predicted[index])].append(index)
    pairs = []
    for (label, other), indexes in sorted(members.items(), key=lambda item: -len(item[1])):
        images = [
            {
                **album.picture(judged[index].path),
                "score": float(verdict.scores[index]),
                "rival": float(verdict.probabilities[index, other]),
            }
            for index in indexes[:SHOWN]
        ]
        names = verdict.classes[label], verdict.classes[other]
        pairs.append(
            {
                "label": names[0],
                "other": names[1],
                "count": len(indexes),
                "link": _link(verdict, label, other),
                "images": images,
            }
        )
    return pairs


def _link(verdict: Verdict, label: int, other: int) -> str:
    return f"{verdict.classes[label]}-{verdict.classes[other]}"


def _conflicts(album: Album, rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
    """The groups of look-alikes with different labels, with each one's score."""
    groups: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        if row.fate == ledger.CONFLICT and row.label_score is not None:
            groups[row.near_group or row.duplicate_group or row.path].append(row)
    return [
        [
            {
                **album.picture(row.path),
                "score": row.label_score,
                "predicted": row.predicted_label,
                "name": PurePosixPath(row.path).name,
            }
            for row in sorted(group, key=lambda row: row.path)
        ]
        for _, group in sorted(groups.items())
    ]

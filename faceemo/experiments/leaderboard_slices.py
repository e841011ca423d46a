"""The accuracy of a sweep's runs on slices of the validation images, side by side."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_REPORT = Path("report", "validation")


@dataclasses.dataclass(frozen=True)
class Line:
    """One run in a `Comparison`.

    Attributes:
        name: Name of the run's folder.
        slices: One record of `slices.score_slices` per column of the comparison.
        difference: Accuracy on leaked images minus that on the others, with its lower and upper
            limit; None unless the slices are these two.
    """

    name: str
    slices: tuple[dict[str, Any], ...]
    difference: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The runs' scores on the same images, sliced in one way.

    Attributes:
        by: Name of the property that divides the images.
        about: Sentence that explains the property.
        columns: (name, number of images) of each slice.
        lines: One line per run, in the order of the leaderboard.
    """

    by: str
    about: str
    columns: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]


def read_comparisons(root: Path, names: Sequence[str]) -> tuple[list[Comparison], list[str]]:
    """Reads the slices of all runs.

    Only runs that were evaluated on the same validation images, divided into the same slices, share
    a comparison.

    Args:
        root: Folder of the sweep.
        names: Names of the runs' folders, in the order of the leaderboard.

    Returns:
        The comparisons, and the names of the runs without recorded slices.
    """
    groups: dict[tuple, tuple[str, list[Line]]] = {}
    without_slices = []
    for name in names:
        path = root / name / _REPORT / "slices.json"
        if not path.is_file():  # the report was written by an older faceemo
            without_slices.append(name)
            continue
        images = _read_json(root / name / "summary.json").get("data", {}).get("validation")
        for cut in _read_json(path):
            columns = tuple((part["name"], part["images"]) for part in cut["slices"])
            difference = tuple(cut["difference"]) if "difference" in cut else None
            line = Line(name, tuple(cut["slices"]), difference)
            groups.setdefault((cut["by"], columns, images), (cut["about"], []))[1].append(line)
    comparisons = [
        Comparison(by, about, columns, tuple(lines))
        for (by, columns, _), (about, lines) in groups.items()
    ]
    order = list(dict.fromkeys(comparison.by for comparison in comparisons))
    return sorted(comparisons, key=lambda comparison: order.index(comparison.by)), without_slices


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

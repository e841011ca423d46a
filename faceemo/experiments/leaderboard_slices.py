"""The slices of a sweep's runs side by side: what each way of dividing the images shows of each."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_RECORDS = Path("report", "validation")


@dataclasses.dataclass(frozen=True)
class Line:
    """One run in a `Comparison`.

    Attributes:
        name: of the run's folder.
        slices: of `slices.scores`, in the order of the columns.
        difference: accuracy of the leaked less that of the others, low, high; None without both.
    """

    name: str
    slices: tuple[dict[str, Any], ...]
    difference: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One way to divide the same images, and how the runs did.

    Attributes:
        by: what divides them.
        about: what that means, a sentence.
        columns: (name, images) of each slice.
        lines: a run each, in the order asked for.
    """

    by: str
    about: str
    columns: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]


def read(root: Path, names: Sequence[str]) -> tuple[list[Comparison], list[str]]:
    """The comparisons of all runs that recorded slices, and the runs that did not.

    Runs stand in one comparison only if they saw the same validation images, and divided them into
    the same slices.

    Args:
        root: folder of the sweep.
        names: of the runs' folders, in the order of the board.
    """
    groups: dict[tuple, tuple[str, list[Line]]] = {}
    without = []
    for name in names:
        path = root / name / _RECORDS / "slices.json"
        if not path.is_file():  # of an older faceemo
            without.append(name)
            continue
        images = _json(root / name / "summary.json").get("data", {}).get("validation")
        for cut in _json(path):
            columns = tuple((part["name"], part["images"]) for part in cut["slices"])
            difference = tuple(cut["difference"]) if "difference" in cut else None
            line = Line(name, tuple(cut["slices"]), difference)
            groups.setdefault((cut["by"], columns, images), (cut["about"], []))[1].append(line)
    found = [
        Comparison(by, about, columns, tuple(lines))
        for (by, columns, _), (about, lines) in groups.items()
    ]
    order = list(dict.fromkeys(comparison.by for comparison in found))
    return sorted(found, key=lambda comparison: order.index(comparison.by)), without


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

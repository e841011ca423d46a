"""Shows a table of counts by class and class as coloured cells of a page."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.colors import to_hex

from faceemo.analysis.theme import style


def matrix_cells(
    classes: Sequence[str],
    table: Sequence[Sequence[int]],
    link: Callable[[int, int], str | None],
) -> list[dict[str, Any]]:
    """A table of counts as rows of cells for a page.

    Args:
        classes: C names.
        table: [C][C] counts.
        link: what a cell that is not 0 leads to, by row and column; None for nothing.
    """
    themes = {"light": style.LIGHT, "dark": style.DARK}

    def colours(share: float) -> dict[str, tuple[str, str]]:
        """Background and text of a cell on either kind of screen."""
        backs = {name: to_hex(style.shades(theme)(share)) for name, theme in themes.items()}
        return {name: (back, style.readable_on(back)) for name, back in backs.items()}

    rows = []
    for row, (true, counts) in enumerate(zip(classes, table, strict=True)):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "colours": colours(count / total if total else 0.0),
                "link": link(row, column) if count else None,
            }
            for column, count in enumerate(counts)
        ]
        rows.append({"name": true, "total": total, "cells": cells})
    return rows

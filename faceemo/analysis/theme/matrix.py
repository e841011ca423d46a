"""Lays out a table of counts, such as a confusion matrix, as coloured cells of a page."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.colors import to_hex

from faceemo.analysis.theme import palette, style


def matrix_cells(
    classes: Sequence[str],
    table: Sequence[Sequence[int]],
    link: Callable[[int, int], str | None],
) -> list[dict[str, Any]]:
    """Returns the rows of a table of counts, ready for `matrix.html.j2`.

    Args:
        classes: C names.
        table: [C][C] counts.
        link: Maps row and column of a non-zero cell to the id of the element that the cell links
            to, or to None.
    """
    themes = {"light": palette.LIGHT, "dark": palette.DARK}

    def colours(share: float) -> dict[str, tuple[str, str]]:
        """Returns a cell's background and text colour for light and for dark screens."""
        backs = {name: to_hex(style.make_colormap(theme)(share)) for name, theme in themes.items()}
        return {name: (back, palette.text_colour_on(back)) for name, back in backs.items()}

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

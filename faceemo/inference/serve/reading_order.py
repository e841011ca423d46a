"""The order in which people read the faces of a picture: by rows, each from left to right."""

from collections.abc import Sequence

import numpy as np

from faceemo.inference.faces import Face

# Share of the mean height of a row's faces by which the centre of one more may be below theirs.
_SAME_ROW = 0.5


def sort_for_reading(faces: Sequence[Face]) -> list[Face]:
    """Sorts faces by rows from top to bottom, and within each row from left to right.

    A face belongs to a row if its centre is less than half a face below the mean centre of the
    row's faces.
    """
    rows: list[list[Face]] = []
    for face in sorted(faces, key=_centre):
        if rows and _centre(face) - np.mean([*map(_centre, rows[-1])]) < _SAME_ROW * np.mean(
            [_height(one) for one in (*rows[-1], face)]
        ):
            rows[-1].append(face)
        else:
            rows.append([face])
    return [face for row in rows for face in sorted(row, key=lambda face: face.region[0])]


def _centre(face: Face) -> float:
    _, top, _, bottom = face.region
    return (top + bottom) / 2


def _height(face: Face) -> float:
    _, top, _, bottom = face.region
    return bottom - top

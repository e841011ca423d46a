"""A grey canvas and the few shapes with which the sample images are painted.

A shape function returns how much of each pixel the shape covers, 0 to 1, given the coordinates u
(to the right) and v (down) of every pixel, float32 [CANVAS, CANVAS]. `paint` blends a tone, 0 black
to 1 white, over the canvas with that coverage.

Only +, -, *, / and square roots are used, for which IEEE 754 fixes the rounding: a seed paints the
same bytes on every processor, which exp or sin would not guarantee.
"""

import numpy as np

SIDE = 48  # side of a finished image, pixels, as in FER2013
CANVAS = 2 * SIDE  # images are painted at twice the side, then averaged
EDGE = 0.05  # width over which coverage rises from 0 to 1: about one finished pixel

Field = np.ndarray  # float32 [CANVAS, CANVAS]


def coordinates() -> tuple[Field, Field]:
    """Returns (u, v) of every pixel: -1 to 1 across the image."""
    axis = (np.arange(CANVAS, dtype=np.float32) + 0.5) / SIDE - 1
    return np.meshgrid(axis, axis)


def cover(inside: Field, edge: float = EDGE) -> Field:
    """Computes the coverage from the signed distance to an outline, positive inside."""
    t = np.clip(inside * (1 / edge) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def ellipse(u: Field, v: Field, ru: float, rv: float, edge: float = EDGE) -> Field:
    """Returns the coverage of an ellipse with the radii ru and rv around (0, 0)."""
    r = np.sqrt(np.square(u / ru) + np.square(v / rv))
    return cover((1 - r) * min(ru, rv), edge)


def bump(u: Field, v: Field, ru: float, rv: float) -> Field:
    """Returns the coverage of a soft spot around (0, 0) that fades to 0 at its radii."""
    q = 1 - np.square(u / ru) - np.square(v / rv)
    return np.square(np.maximum(q, 0))


def stroke(u: Field, v: Field, a: tuple, b: tuple, thick: float, edge: float = EDGE) -> Field:
    """Returns the coverage of a line from a to b, `thick` on either side."""
    du, dv = b[0] - a[0], b[1] - a[1]
    along = ((u - a[0]) * du + (v - a[1]) * dv) / (du * du + dv * dv)
    along = np.clip(along, 0, 1).astype(np.float32)
    off_u, off_v = u - a[0] - along * du, v - a[1] - along * dv
    return cover(thick - np.sqrt(off_u * off_u + off_v * off_v), edge)


def paint(canvas: Field, tone: Field | float, alpha: Field) -> None:
    """Blends `tone` over `canvas` in place, with the coverage `alpha`."""
    canvas += (tone - canvas) * alpha


def clouds(rng: np.random.Generator, across: int, down: int) -> Field:
    """Draws smooth noise in 0 to 1, with `across` by `down` cells."""
    grid = rng.random((down + 1, across + 1), dtype=np.float32)

    def cell_positions(cells: int):
        at = (np.arange(CANVAS, dtype=np.float32) + 0.5) * (cells / CANVAS)
        low = at.astype(np.int64)
        return low, at - low

    (row, fv), (col, fu) = cell_positions(down), cell_positions(across)
    rows = grid[row] + (grid[row + 1] - grid[row]) * fv[:, None]
    return rows[:, col] + (rows[:, col + 1] - rows[:, col]) * fu[None, :]


def _smooth(canvas: Field) -> Field:
    """Blurs along the rows with a binomial kernel."""
    left = np.concatenate([canvas[:, :1], canvas[:, :-1]], 1)
    right = np.concatenate([canvas[:, 1:], canvas[:, -1:]], 1)
    return (left + right) * 0.25 + canvas * 0.5


def finish(rng: np.random.Generator, canvas: Field, contrast: float) -> np.ndarray:
    """Adds a camera's blur, brightness and noise, and downsamples: uint8 [SIDE, SIDE]."""
    for _ in range(int(rng.integers(0, 4))):
        canvas = _smooth(_smooth(canvas).T).T
    half = (canvas[::2, ::2] + canvas[1::2, ::2] + canvas[::2, 1::2] + canvas[1::2, 1::2]) * 0.25
    grey = (half - 0.5) * contrast + (0.52 + rng.uniform(-0.05, 0.05))
    noise = rng.random((3, SIDE, SIDE), dtype=np.float32)
    grain = noise[0] + noise[1] + noise[2] - 1.5
    grey = grey + (0.06 * rng.random() * rng.random()) * grain
    return (np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8)

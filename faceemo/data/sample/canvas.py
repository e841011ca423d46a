"""A grey canvas and the few shapes that the sample's pictures are painted with.

A shape says how much of each pixel it covers, 0 to 1, from fields of coordinates u (to the right)
and v (down), float32 [CANVAS, CANVAS]; `paint` blends a tone, 0 black to 1 white, over it.

Only +, -, *, / and square roots are used, which IEEE 754 rounds in one way: a seed paints the same
bytes on every processor, which exp or sin would not promise.
"""

import numpy as np

SIDE = 48  # of a finished picture, pixels, as in FER2013
CANVAS = 2 * SIDE  # painted at twice the side, then averaged
EDGE = 0.05  # how far an edge takes from nothing to all: about one finished pixel

Field = np.ndarray  # float32 [CANVAS, CANVAS]


def coordinates() -> tuple[Field, Field]:
    """(u, v) of every pixel: -1 to 1 across the picture."""
    axis = (np.arange(CANVAS, dtype=np.float32) + 0.5) / SIDE - 1
    return np.meshgrid(axis, axis)


def cover(inside: Field, edge: float = EDGE) -> Field:
    """Coverage from the signed distance to an outline, positive inside."""
    t = np.clip(inside * (1 / edge) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def ellipse(u: Field, v: Field, ru: float, rv: float, edge: float = EDGE) -> Field:
    """A disc of radii ru and rv around (0, 0)."""
    r = np.sqrt(np.square(u / ru) + np.square(v / rv))
    return cover((1 - r) * min(ru, rv), edge)


def bump(u: Field, v: Field, ru: float, rv: float) -> Field:
    """A soft spot that fades to nothing at its radii."""
    q = 1 - np.square(u / ru) - np.square(v / rv)
    return np.square(np.maximum(q, 0))


def stroke(u: Field, v: Field, a: tuple, b: tuple, thick: float, edge: float = EDGE) -> Field:
    """A line from a to b."""
    du, dv = b[0] - a[0], b[1] - a[1]
    along = ((u - a[0]) * du + (v - a[1]) * dv) / (du * du + dv * dv)
    along = np.clip(along, 0, 1).astype(np.float32)
    off_u, off_v = u - a[0] - along * du, v - a[1] - along * dv
    return cover(thick - np.sqrt(off_u * off_u + off_v * off_v), edge)


def paint(canvas: Field, tone: Field | float, alpha: Field) -> None:
    """Blends `tone` over `canvas`, in place, as far as `alpha` covers it."""
    canvas += (tone - canvas) * alpha


def clouds(rng: np.random.Generator, across: int, down: int) -> Field:
    """Smooth noise, 0 to 1, of so many cells."""
    grid = rng.random((down + 1, across + 1), dtype=np.float32)

    def places(cells: int):
        at = (np.arange(CANVAS, dtype=np.float32) + 0.5) * (cells / CANVAS)
        low = at.astype(np.int64)
        return low, at - low

    (row, fv), (col, fu) = places(down), places(across)
    rows = grid[row] + (grid[row + 1] - grid[row]) * fv[:, None]
    return rows[:, col] + (rows[:, col + 1] - rows[:, col]) * fu[None, :]


def _smooth(canvas: Field) -> Field:
    """Binomial blur along the rows."""
    left = np.concatenate([canvas[:, :1], canvas[:, :-1]], 1)
    right = np.concatenate([canvas[:, 1:], canvas[:, -1:]], 1)
    return (left + right) * 0.25 + canvas * 0.5


def finish(rng: np.random.Generator, canvas: Field, contrast: float) -> np.ndarray:
    """What a camera makes of it (blur, brightness, noise): uint8 [SIDE, SIDE]."""
    for _ in range(int(rng.integers(0, 4))):
        canvas = _smooth(_smooth(canvas).T).T
    half = (canvas[::2, ::2] + canvas[1::2, ::2] + canvas[::2, 1::2] + canvas[1::2, 1::2]) * 0.25
    grey = (half - 0.5) * contrast + (0.52 + rng.uniform(-0.05, 0.05))
    noise = rng.random((3, SIDE, SIDE), dtype=np.float32)
    grain = noise[0] + noise[1] + noise[2] - 1.5
    grey = grey + (0.06 * rng.random() * rng.random()) * grain
    return (np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8)

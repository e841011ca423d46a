"""Draws images without a face, which face screening has to reject."""

from collections.abc import Callable

import numpy as np

from faceemo.data.sample.canvas import Field, clouds, coordinates, cover, finish, paint


def draw_non_face(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Draws an object or a texture without a face.

    Args:
        rng: Source of all variety.
        kind: A key of `NON_FACES`.

    Returns:
        uint8 [48, 48].
    """
    u, v = coordinates()
    u, v = u - rng.uniform(-0.15, 0.15), v - rng.uniform(-0.15, 0.15)
    canvas = np.full_like(u, rng.uniform(0.1, 0.9))
    NON_FACES[kind](rng, canvas, u, v)
    return finish(rng, canvas, rng.uniform(0.9, 1.2))


def _stripes(rng: np.random.Generator, canvas: Field, u: Field, v: Field) -> None:
    along = u * rng.uniform(-1, 1) + v * rng.uniform(0.5, 1)
    wave = np.abs(along * rng.uniform(4, 7) % 1 - 0.5) - 0.25
    paint(canvas, rng.random(), cover(wave, 0.2))


def _tiles(rng: np.random.Generator, canvas: Field, u: Field, v: Field) -> None:
    cells = rng.uniform(1.5, 3.5)
    odd = (np.floor(u * cells) + np.floor(v * cells)) % 2
    paint(canvas, rng.random(), odd)


def _static(rng: np.random.Generator, canvas: Field, u: Field, v: Field) -> None:
    cells = int(rng.integers(36, 48))
    paint(canvas, clouds(rng, cells, cells), np.full_like(u, 0.6))


def _boat(rng: np.random.Generator, canvas: Field, u: Field, v: Field) -> None:
    sail, side = rng.random(), float(rng.choice((-1, 1)))
    paint(canvas, rng.uniform(0.7, 1.0), np.ones_like(u))
    paint(canvas, rng.uniform(0.2, 0.5) + 0.2 * clouds(rng, 3, 20), cover(v - 0.3))
    paint(canvas, sail, cover(np.minimum(0.15 - v, np.minimum(u * side, 0.9 + v - 1.4 * u * side))))
    paint(canvas, 0.1, cover(0.02 - np.abs(u)) * cover(0.3 - v) * cover(v + 0.9))
    paint(canvas, rng.uniform(0.0, 0.4), cover(np.minimum(v - 0.22, 0.75 - v - 0.5 * np.abs(u))))


def _fir(rng: np.random.Generator, canvas: Field, u: Field, v: Field) -> None:
    needles = rng.uniform(0.05, 0.25) + 0.25 * clouds(rng, 30, 30)
    paint(canvas, rng.uniform(0.6, 0.95), cover(v - 0.55))
    paint(canvas, 0.1, cover(0.08 - np.abs(u)) * cover(0.85 - v) * cover(v - 0.3))
    for top in (-0.85, -0.5, -0.15):
        paint(canvas, needles, cover(np.minimum(top + 0.65 - v, (v - top) * 0.75 - np.abs(u))))


NON_FACES: dict[str, Callable[[np.random.Generator, Field, Field, Field], None]] = {
    "stripes": _stripes,
    "tiles": _tiles,
    "static": _static,
    "boat": _boat,
    "fir": _fir,
}

"""Draws grey faces that show an emotion: sample data for a machine without photographs.

A face is drawn from back to front (background, hair, neck, head, features, fringe) in coordinates
of the face: (0, 0) is the middle of the head, v = -1 its crown, v = 1 its chin, u grows to the
right. Only arithmetic and square roots are used; `faceemo.data.sample.canvas` says why.
"""

import math

import numpy as np

from faceemo.data.sample.canvas import (
    Field,
    bump,
    clouds,
    coordinates,
    cover,
    ellipse,
    finish,
    paint,
    stroke,
)
from faceemo.data.sample.face_parameters import Expression, Person


def draw_face(rng: np.random.Generator, emotion: str) -> np.ndarray:
    """Draws the face of a random person who shows `emotion`.

    Args:
        rng: Source of all variety.
        emotion: One of `faceemo.config.CLASSES`.

    Returns:
        uint8 [48, 48].
    """
    person = Person.sample(rng)
    return render(rng, person, Expression.sample(rng, emotion))


def render(rng: np.random.Generator, person: Person, face: Expression) -> np.ndarray:
    """Renders `person` with the expression `face`: uint8 [48, 48].

    `rng` determines the background, textures and noise.
    """
    u, v = _face_coordinates(person)
    canvas = _background(rng, u, v)
    chin = 1.0 + 0.13 * min(face.gape, 1.0)  # an open mouth lowers the jaw
    head = _head(u, v, person, chin)
    strands = clouds(rng, 30, 6)
    _hair_behind(canvas, u, v, person, strands)
    _shoulders(canvas, u, v, person, float(rng.uniform(0.1, 0.9)))
    shade = _shade(u, v, person)
    skin = person.skin * shade * (0.97 + 0.06 * clouds(rng, 7, 7))
    for side in (-1, 1):
        ear = ellipse(u - side * person.width * 1.0 + person.turn * 0.3, v - 0.08, 0.09, 0.2)
        paint(canvas, skin * 0.85, ear)
    paint(canvas, skin, head)
    # a turn of the head moves the features, which are in front, more than the outline
    u, v = u - person.turn, v - person.nod
    _relief(canvas, u, v, person, face)
    low = _rows(v, 0.2, 1.2)
    if person.beard:
        _beard(canvas[low], u[low], v[low], person, head[low] * (0.6 + 0.4 * strands[low]))
    _mouth(canvas[low], u[low], v[low], person, face, shade[low])
    top = _rows(v, -0.75, 0.25)
    for side in (-1, 1):
        eye_u, eye_v = u[top] - side * person.eye_gap, v[top]
        _eye(canvas[top], eye_u, eye_v + 0.06, side, person, face, shade[top])
        _brow(canvas[top], eye_u, eye_v + 0.29, side, person, face)
    if person.glasses:
        _glasses(canvas[top], u[top], v[top] + 0.05, person)
    _hair_in_front(canvas, u + person.turn, v + person.nod, person, head, strands)
    return finish(rng, canvas, person.contrast)


def _face_coordinates(person: Person) -> tuple[Field, Field]:
    """Returns (u, v) of every pixel of the canvas in units of the face."""
    x, y = coordinates()
    x, y = x - person.shift[0], y - 0.04 - person.shift[1]
    norm = 1 + person.tilt**2
    cos, sin = (1 - person.tilt**2) / norm * person.scale, 2 * person.tilt / norm * person.scale
    u, v = cos * x + sin * y, cos * y - sin * x
    return u, v


def _rows(v: Field, low: float, high: float) -> slice:
    """Returns the rows of the canvas between two heights: a small feature needs no others."""
    rows = np.flatnonzero(((v > low) & (v < high)).any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1)


# Parts of the face. `u, v` are in units of the face, from the part's own middle if it has one.


def _background(rng: np.random.Generator, u: Field, v: Field) -> Field:
    low, high = rng.uniform(0.05, 0.95), rng.uniform(-0.25, 0.25)
    lean = rng.uniform(-0.6, 0.6)
    wall = low + high * (v + lean * u) * 0.5
    return np.clip(wall + 0.35 * rng.random() * (clouds(rng, 4, 4) - 0.5), 0, 1)


def _head(u: Field, v: Field, person: Person, chin: float) -> Field:
    """Returns the coverage of the head: half an ellipse above, a jaw below."""
    below = np.maximum(v, 0) / chin
    narrow = 1 - (0.26 - 0.2 * person.jaw) * below
    r = np.sqrt(np.square(u / (person.width * narrow)) + np.square(np.where(v > 0, below, v)))
    return cover((1 - r) * person.width)


def _shade(u: Field, v: Field, person: Person) -> Field:
    """Computes the light on a round head, about 0.4 to 1.3."""
    nu, nv = u / (person.width * 1.12), v / 1.15
    nz = np.sqrt(np.maximum(1 - nu * nu - nv * nv, 0))
    lu, lv = person.light
    norm = math.sqrt(lu * lu + lv * lv + 1.0)
    lambert = np.maximum((nu * lu + nv * lv + nz) / norm, 0)
    return 0.42 + 0.74 * lambert


def _shoulders(canvas: Field, u: Field, v: Field, person: Person, cloth: float) -> None:
    shadow = person.skin * 0.5
    neck = cover(person.width * 0.56 - np.abs(u)) * cover(v - 0.5)
    paint(canvas, shadow, neck)
    paint(canvas, cloth, ellipse(u, v - 2.15, 1.5, 0.98))


def _relief(canvas: Field, u: Field, v: Field, person: Person, face: Expression) -> None:
    """Paints nose, cheeks, eye sockets and folds as darker and lighter skin."""
    dark, bright = person.skin * 0.42, min(1.0, person.skin * 1.25)
    lit = 1 if person.light[0] > 0 else -1
    wide = person.nose
    for side in (-1, 1):
        paint(canvas, dark, 0.5 * bump(u - side * person.eye_gap, v + 0.1, 0.26, 0.2))
        paint(canvas, bright, 0.45 * bump(u - side * 0.42, v - 0.22, 0.24, 0.22))
        if face.cheeks > 0:
            up = 0.24 - 0.08 * face.cheeks
            paint(canvas, bright, 0.5 * face.cheeks * bump(u - side * 0.4, v - up, 0.2, 0.17))
            fold = stroke(u, v, (side * 0.17 * wide, 0.32), (side * 0.4, 0.58), 0.012, edge=0.09)
            paint(canvas, dark, min(0.75, 0.8 * face.cheeks) * fold)
        if face.inner > 0.1:
            furrow = stroke(u, v, (side * 0.07, -0.3), (side * 0.05, -0.16), 0.008, edge=0.06)
            paint(canvas, dark, 0.6 * face.inner * furrow)
        nostril = ellipse(u - side * 0.075 * wide, v - 0.335, 0.045, 0.026, edge=0.06)
        wing = bump(u - side * 0.15 * wide, v - 0.29, 0.07, 0.1)
        paint(canvas, dark, 0.55 * wing)
        paint(canvas, person.skin * 0.25, 0.85 * nostril)
    if face.brows > 0.25:
        for line in (-0.56, -0.48):
            crease = cover(0.008 - np.abs(v - line - 0.12 * u * u), 0.07)
            paint(canvas, dark, 0.5 * face.brows * crease * cover(0.34 - np.abs(u), 0.3))
    bridge = cover(0.3 - np.abs(v - 0.02), 0.3)
    paint(canvas, dark, 0.5 * bridge * bump(u + lit * 0.11, v - 0.05, 0.12, 0.6))
    paint(canvas, bright, 0.55 * bridge * bump(u - lit * 0.01, v - 0.05, 0.07, 0.6))
    paint(canvas, bright, 0.6 * bump(u - lit * 0.02, v - 0.24, 0.11, 0.11))
    paint(canvas, dark, 0.4 * bump(u + lit * 0.05, v - 0.4, 0.2, 0.07))
    paint(canvas, dark, 0.35 * bump(u, v - 0.78 - 0.2 * face.gape, 0.22, 0.07))


def _mouth(
    canvas: Field, u: Field, v: Field, person: Person, face: Expression, shade: Field
) -> None:
    smile, gape = face.smile, face.gape
    pull = 0.3 * max(smile, 0) - 0.06 * min(smile, 0) - 0.38 * gape * (1 - face.grin)
    half = person.mouth_width * (1 + pull)
    x2 = np.square(u / half)
    arch = np.maximum(1 - x2, 0)
    if face.grin < 0.5:
        arch = arch + (np.sqrt(arch) - arch) * min(1.0, 1.3 * gape)
    middle = 0.58 + 0.05 * gape + 0.15 * smile * (0.45 - x2)
    upper = middle - 0.13 * gape * (1 - 0.7 * face.grin) * arch
    lower = middle + gape * (0.26 + 0.06 * face.grin) * arch
    thin = person.lips * (1 - 0.3 * max(smile, 0))
    bow = 1 - 0.35 * bump(u, v - middle, 0.06, 0.5)
    within = cover(half + 0.015 - np.abs(u))
    outer = np.minimum(v - upper + 0.055 * thin * arch * bow, lower + 0.08 * thin * arch - v)
    lips = person.skin * 0.66 * shade
    paint(canvas, lips, within * cover(outer + 0.008))
    light_on_lip = bump(u, v - 0.62 - 0.35 * gape - 0.04 * thin, half * 0.6, 0.035)
    paint(canvas, person.skin * 1.1, 0.5 * light_on_lip)
    inside = np.minimum(v - upper, lower - v)
    paint(canvas, 0.06, within * cover(inside + 0.012, 0.045) * cover(1.04 - x2, 0.15))
    if gape > 0.1:
        bared = (0.05 + 0.1 * face.grin) * min(1.0, 2.5 * gape)
        teeth = np.minimum(inside - 0.012, upper + bared - v)
        paint(
            canvas,
            0.96 * np.minimum(shade, 1),
            within * cover(teeth, 0.04) * cover(0.8 - x2, 0.3) * (0.35 + 0.65 * face.grin),
        )
        tongue = bump(u, v - middle - 0.27 * gape, half * 0.7, 0.14)
        paint(canvas, 0.3, 0.7 * tongue * cover(inside - 0.02))
    for side in (-1, 1):
        corner = bump(u - side * (half + 0.01), v - 0.58 + 0.08 * smile, 0.06, 0.05)
        paint(canvas, person.skin * 0.35, 0.5 * corner)


def _eye(
    canvas: Field, u: Field, v: Field, side: int, person: Person, face: Expression, shade: Field
) -> None:
    half = person.eye_size
    open_ = half * (0.5 + 0.36 * face.lids)
    x = u / half
    arch = np.maximum(1 - x * x, 0)
    # sadness lowers the outer corner, a raised cheek pushes the lower lid up
    slant = side * 0.03 * (face.inner - 0.3) * x
    upper = slant - max(open_ * 1.1, 0.008) * arch
    lower = slant + max(open_ * (0.75 - 0.6 * face.cheeks), 0.006) * arch
    within = cover(half - np.abs(u), 0.06)
    lids = within * cover(np.minimum(v - upper, lower - v), 0.04)
    white = 0.5 + 0.38 * person.skin
    paint(canvas, white * np.minimum(shade, 1.05), lids)
    gaze = u - person.turn * 0.15
    paint(canvas, person.iris, lids * ellipse(gaze, v, 0.078, 0.078))
    paint(canvas, 0.03, lids * ellipse(gaze, v, 0.04, 0.04, 0.04))
    paint(canvas, 1.0, 0.9 * lids * ellipse(gaze + 0.025, v + 0.03, 0.02, 0.02, 0.03))
    skin = person.skin
    lash = within * cover(0.016 - np.abs(v - upper), 0.045)
    paint(canvas, skin * 0.15, 0.9 * lash)
    paint(canvas, skin * 0.4, 0.5 * within * cover(0.008 - np.abs(v - lower - 0.01), 0.04))
    crease = within * cover(0.008 - np.abs(v - upper + 0.05 + 0.02 * face.lids), 0.04)
    paint(canvas, skin * 0.45, 0.5 * crease)
    if face.cheeks > 0.2:  # crow's feet and the fold below a laughing eye
        bag = cover(0.008 - np.abs(v - lower - 0.06), 0.05) * cover(1 - np.abs(x), 0.3)
        paint(canvas, skin * 0.45, 0.5 * face.cheeks * bag)


def _brow(canvas: Field, u: Field, v: Field, side: int, person: Person, face: Expression) -> None:
    x = u * (side / 0.21)  # -1 at the nose, 1 at the temple
    inside = np.clip((1 - x) * 0.5, 0, 1)
    curve = (
        -0.15 * face.brows
        - 0.045 * (1 + max(face.brows, 0)) * (1 - x * x)
        - 0.17 * face.inner * (inside - 0.35)
        + 0.015
    )
    thick = person.brow_weight * (0.55 + 0.45 * inside)
    mark = cover(thick - np.abs(v - curve)) * cover(1 - np.abs(x), 0.35)
    paint(canvas, min(person.hair, person.skin * 0.55) * 0.8, 0.92 * mark)


def _beard(canvas: Field, u: Field, v: Field, person: Person, head: Field) -> None:
    below = cover(v - 0.36 - 0.1 * (1 - u * u), 0.2)
    around = np.maximum(below * cover(np.abs(u) + v - 0.78, 0.2), bump(u, v - 0.47, 0.36, 0.09))
    paint(canvas, person.hair * 0.9, person.beard * 0.65 * head * around)


def _glasses(canvas: Field, u: Field, v: Field, person: Person) -> None:
    tone = 0.06
    for side in (-1, 1):
        r = np.sqrt(
            np.square(np.square((u - side * person.eye_gap) / 0.24))
            + np.square(np.square((v - 0.01) / 0.185))
        )
        paint(canvas, tone, 0.9 * cover(0.02 - np.abs(np.sqrt(r) - 1) * 0.2))
    paint(canvas, tone, 0.9 * stroke(u, v, (-0.08, -0.03), (0.08, -0.03), 0.015))


def _hair_behind(canvas: Field, u: Field, v: Field, person: Person, strands: Field) -> None:
    tone = person.hair * (0.75 + 0.5 * strands)
    w = person.width
    if person.style in ("long", "parted"):
        fall = cover(w * 1.28 - np.abs(u)) * cover(v + 0.1)
        paint(canvas, tone * 0.8, np.maximum(fall, ellipse(u, v + 0.1, w * 1.28, 1.08)))
    elif person.style == "curly":
        wave = 0.24 * (strands - 0.5)
        paint(canvas, tone, ellipse(u * (1 + wave), (v + 0.22) * (1 + wave), w * 1.34, 1.02, 0.1))


def _hair_in_front(
    canvas: Field, u: Field, v: Field, person: Person, head: Field, strands: Field
) -> None:
    if person.style == "bald":
        return
    w = person.width
    x2 = np.square(u / w)
    line = {
        "short": person.hairline + 0.12 * x2 + 0.45 * x2 * x2 * x2,
        "fringe": -0.46 + 0.35 * x2 * x2 + 0.06 * (strands - 0.5),
        "side": person.hairline + 0.22 * (u / w + 0.4) + 0.3 * x2 * x2,
        "long": person.hairline + 0.75 * x2 * x2,
        "parted": -0.86 + 1.1 * np.abs(u - 0.05) - 0.1 * x2,
        "curly": person.hairline + 0.3 * x2 + 0.12 * (strands - 0.5),
    }[person.style]
    line = line + 0.1 * (strands - 0.5)
    cap = np.maximum(head, ellipse(u, v + 0.12, person.width * 1.07, 0.97))
    tone = person.hair * (0.55 + 0.9 * strands)
    tone += 0.12 * bump(u - 0.3 * person.light[0], v + 0.78, 0.5, 0.16) * strands
    paint(canvas, tone, cap * cover(line - v, 0.09) * cover(0.15 - v, 0.2))

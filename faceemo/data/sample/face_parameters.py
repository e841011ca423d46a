"""Random parameters of the drawn faces: the person and the facial expression."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Expression:
    """The muscle positions of a face; a face at rest has zeros.

    Attributes:
        smile: Height of the corners of the mouth, 1 up to -1 down.
        gape: Opening of the mouth, 0 to 1.
        grin: Shape of an open mouth: 1 is wide with bared teeth, 0 is round.
        lids: Opening of the eyes, 1 wide open to -1 closed.
        brows: Height of the brows, 1 raised to -1 lowered.
        inner: Height of the inner ends of the brows: 1 raised as in sadness, -1 frowning.
        cheeks: Height of the cheeks, 0 to 1, with folds from nose to mouth.
    """

    smile: float
    gape: float
    grin: float
    lids: float
    brows: float
    inner: float
    cheeks: float

    @classmethod
    def sample(cls, rng: np.random.Generator, emotion: str) -> "Expression":
        """Samples an expression of `emotion`, strong or faint, with some of its signs missing."""
        strength = 0.1 + 0.9 * _root(rng)

        def sign(most: float) -> float:
            return most * strength * rng.uniform(0.45, 1.1)

        shown = dict.fromkeys((field.name for field in dataclasses.fields(cls)), 0.0)
        if emotion == "happy":
            laughs = rng.random() < 0.65
            shown |= {"smile": sign(1.0), "cheeks": sign(1.0), "lids": -sign(0.55), "grin": 1.0}
            shown |= {"gape": 0.2 + sign(0.55) if laughs else 0.0, "brows": sign(0.3)}
        elif emotion == "sad":
            shown |= {"smile": -sign(1.0), "inner": sign(1.0), "lids": -sign(0.7)}
            shown |= {"gape": sign(0.16) if rng.random() < 0.25 else 0.0, "brows": -sign(0.15)}
        elif emotion == "surprise":
            closed = rng.random() < 0.1
            shown |= {"gape": 0.0 if closed else sign(1.0), "lids": sign(1.1), "brows": sign(1.1)}
            shown |= {"grin": rng.uniform(0.3, 0.8) if rng.random() < 0.15 else 0.0}
        else:
            shown |= {"smile": 0.08, "gape": rng.uniform(0.0, 0.22) if rng.random() < 0.15 else 0.0}
        # No face at rest is neutral in every part: this makes faint emotions hard to recognise.
        rest = {"smile": 0.2, "lids": 0.3, "brows": 0.3, "inner": 0.3, "cheeks": 0.12}
        for name, spread in rest.items():
            shown[name] += spread * (rng.random() + rng.random() + rng.random() - 1.5) * 1.4
        low = {"smile": -1.0, "lids": -0.85, "brows": -1.0, "inner": -1.0}
        return cls(**{k: min(1.1, max(low.get(k, 0.0), x)) for k, x in shown.items()})


@dataclasses.dataclass(frozen=True)
class Person:
    """The person and the pose. Lengths are in units of the face, tones are 0 to 1."""

    width: float  # half the width of the head
    jaw: float  # 0 narrow chin, 1 square
    skin: float
    hair: float
    style: str
    hairline: float
    eye_gap: float
    eye_size: float
    iris: float
    brow_weight: float
    nose: float
    mouth_width: float
    lips: float
    beard: float
    glasses: bool
    light: tuple[float, float]  # direction (u, v) of the light
    contrast: float
    turn: float  # sideways turn of the head
    nod: float
    tilt: float  # tangent of half the angle of rotation
    scale: float
    shift: tuple[float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Person":
        """Samples a person and a pose."""

        def within(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def middle(spread: float) -> float:
            return spread * float(rng.random() + rng.random() - 1.0)

        skin = within(0.36, 0.84)
        styles = ("bald", "short", "short", "fringe", "side", "long", "long", "curly", "parted")
        return cls(
            width=within(0.68, 0.8),
            jaw=within(0.0, 1.0),
            skin=skin,
            hair=within(0.06, 0.3) if skin < 0.6 or rng.random() < 0.7 else within(0.4, 0.85),
            style=styles[int(rng.integers(len(styles)))],
            hairline=within(-0.72, -0.56),
            eye_gap=within(0.29, 0.35),
            eye_size=within(0.135, 0.17),
            iris=within(0.05, 0.32),
            brow_weight=within(0.024, 0.05),
            nose=within(0.85, 1.2),
            mouth_width=within(0.25, 0.32),
            lips=within(0.7, 1.4),
            beard=within(0.3, 1.0) if rng.random() < 0.15 else 0.0,
            glasses=rng.random() < 0.12,
            light=(within(-0.8, 0.8), within(-0.7, 0.1)),
            contrast=within(0.9, 1.25),
            turn=middle(0.16),
            nod=middle(0.05),
            tilt=middle(0.11),
            scale=within(0.92, 1.14),
            shift=(middle(0.1), middle(0.08)),
        )


def _root(rng: np.random.Generator) -> float:
    """Samples a number in 0 to 1 with a density that rises linearly."""
    return max(float(rng.random()), float(rng.random()))

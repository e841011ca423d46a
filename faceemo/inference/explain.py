"""Pictures of what in a face speaks for the answer."""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from faceemo import staging
from faceemo.analysis.saliency import gradcam, occlusion
from faceemo.analysis.theme import style
from faceemo.inference import output_paths
from faceemo.inference.annotate import caption
from faceemo.inference.faces import Face
from faceemo.inference.images import Picture, files_below, picture_at
from faceemo.inference.predict_files import UNREADABLE, unused
from faceemo.inference.prediction import Prediction, on_face
from faceemo.inference.predictor import Predictor, load

# Of an image's side: a mouth or an eye is covered, a face is not.
_PATCH = 1 / 6
_THEME = style.LIGHT
_WIDTH, _HEIGHT = 7.8, 2.5  # inches


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """Why a face was answered as it was; maps are about the most probable class.

    Attributes:
        answer: on the face.
        crop: uint8 [S, S], what the network was shown.
        heat: float32 [h, w], Grad-CAM, 0..1.
        fall: float32 [S, S] of `occlusion.fall`, of the calibrated probability.
    """

    answer: Prediction
    crop: np.ndarray
    heat: np.ndarray
    fall: np.ndarray


def make_explain(predictor: Predictor) -> Callable[[Picture, Face], Explanation]:
    """Makes `explain(picture, face)` for the faces that `predictor.faces` finds."""
    known = predictor.trained
    heat_of = gradcam.make_heat(known.model, known.preprocessing, known.variables, batch=1)
    patch = max(1, round(_PATCH * known.config.native_size))

    def explain(picture: Picture, face: Face) -> Explanation:
        (row,) = predictor.probabilities(face.crop[None])
        chances = dict(zip(predictor.classes, map(float, row), strict=True))
        answer = on_face(picture.index, picture.name, chances, face.box, face.confidence)
        best = int(row.argmax())
        (heat,) = heat_of(face.crop[None], np.array([best]))
        fall = occlusion.fall(
            predictor.probabilities, face.crop, best, patch=patch, stride=max(1, patch // 2)
        )
        return Explanation(answer, face.crop, heat, fall)

    return explain


def explain(run: Path, inputs: Sequence[Path], out: Path, *, crops: bool) -> int:
    """Writes a picture per face into the folder `out`; returns the exit code.

    Raises:
        UserError: if there is no network at `run`, or `out` holds an input.
    """
    files = [file for path in inputs for file in files_below(path)]
    output_paths.check_folder("--out", out, files)
    predictor = load(run)
    make = make_explain(predictor)
    unreadable, without, names, drawn = [], [], set(), 0
    pictures = itertools.starmap(picture_at, enumerate(files))
    for picture in tqdm(pictures, "explain", len(files), unit="image", disable=None):
        if picture.pixels is None:
            unreadable.append(f"{picture.name}: {picture.problem}")
            continue
        faces = predictor.faces(picture, crops=crops)
        without += [] if faces else [picture.name]
        for face in faces:
            with (
                style.applied(_THEME),
                staging.file(out / unused(Path(picture.name), names)) as partial,
            ):
                style.save(figure(make(picture, face)), partial)
            drawn += 1
    print(f"wrote {drawn} pictures into {out}" if drawn else "no face, so no picture was drawn")
    for what, listed in (("without a face", without), ("not read", unreadable)):
        if listed:
            print(f"{len(listed)} {what}:", *listed, sep="\n  ", file=sys.stderr)
    return UNREADABLE if unreadable else 0


def figure(one: Explanation) -> Figure:
    """The face, both maps over it, and the probabilities, side by side."""
    title, name = caption(one.answer), style.shortened(one.answer.name, 90)
    made = style.figure(_WIDTH, _HEIGHT, _THEME, title, name, grid=False)
    face, heat, fall = (_place(made, 0.1 + 1.75 * place, 1.65) for place in range(3))
    size = one.crop.shape[0]
    extent = (0, size, size, 0)
    for axes in (face, heat, fall):
        axes.imshow(one.crop, cmap="gray", vmin=0, vmax=255, extent=extent)
        axes.axis("off")
    _title(face, "what the network sees")
    _title(heat, f"Grad-CAM for {one.answer.leaning}")
    # transparent where there is no evidence, so that the face stays visible
    heat.imshow(
        one.heat,
        cmap="inferno",
        vmin=0,
        vmax=1,
        alpha=opaque(one.heat),
        extent=extent,
        interpolation="bilinear",
    )
    _title(fall, "fall when covered")
    most = max(0.01, float(np.abs(one.fall).max()))
    shades = fall.imshow(
        one.fall,
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
        alpha=opaque(np.abs(one.fall) / most),
        extent=extent,
    )
    scale = made.colorbar(shades, cax=_place(made, 5.32, 0.08), format="{x:+.2f}")
    scale.outline.set_visible(False)
    scale.ax.tick_params(labelsize=7)
    _bars(_place(made, 6.5, 1.2), one.answer)
    return made


def _place(made: Figure, left: float, width: float):
    """Axes as high as a face, by inches."""
    return made.add_axes((left / _WIDTH, 0.1 / _HEIGHT, width / _WIDTH, 1.65 / _HEIGHT))


def _bars(axes, answer: Prediction) -> None:
    names = list(answer.probabilities)
    values = [answer.probabilities[name] for name in names]
    colours = [_THEME.first if name == answer.leaning else _THEME.muted for name in names]
    places = range(len(names))
    axes.barh(places, values, color=colours, height=0.6)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.03, place, f"{value:.0%}", va="center", fontsize=7.5, color=_THEME.ink)
    axes.set_yticks(list(places), [style.printable(name) for name in names])
    axes.set_xlim(0, 1.3)  # room for what stands behind a whole bar
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    _title(axes, "probability")


def _title(axes, text: str) -> None:
    axes.set_title(style.printable(text), fontsize=8, loc="left", color=_THEME.muted)


def opaque(share: np.ndarray) -> np.ndarray:
    """How much of a map is laid over the face, 0..1, by how strong it is there."""
    return 0.75 * np.clip(share, 0, 1) ** 0.7

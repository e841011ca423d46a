"""Explanations: for each face, one figure of the evidence behind its prediction."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from tqdm import tqdm

from faceemo import staging
from faceemo.analysis.saliency import gradcam, occlusion
from faceemo.analysis.theme import palette, style
from faceemo.analysis.theme.text import shorten
from faceemo.errors import escape_name
from faceemo.inference import output_paths
from faceemo.inference.annotate import format_caption
from faceemo.inference.engine.names import JAX
from faceemo.inference.faces import Face
from faceemo.inference.file_kinds import FILM, OTHER
from faceemo.inference.inputs import describe_others, find_inputs, refuse_others_alone
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.predict_files import UNREADABLE, describe_colourless, list_colourless
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import Predictor, load
from faceemo.inference.read_input import read_input

# Side of the occluding patch per side of the image: it covers a mouth or an eye, but no face.
_PATCH = 1 / 6
_THEME = palette.LIGHT
_WIDTH, _HEIGHT = 9.2, 2.95  # inches
_BELOW = 0.55  # inches, for the legend


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The evidence behind a prediction; the maps are about the most probable class.

    Attributes:
        prediction: The prediction for the face.
        crop: The network's input before it is resized, uint8 [S, S] or [S, S, 3].
        heat: The Grad-CAM map, float32 [h, w], 0..1.
        fall: The fall of the calibrated probability where the face is occluded, float32 [S, S].
        image_size: Side to which the network resizes the crop, pixels.
    """

    prediction: Prediction
    crop: np.ndarray
    heat: np.ndarray
    fall: np.ndarray
    image_size: int


def make_explain(predictor: Predictor) -> Callable[[LoadedImage, Face], Explanation]:
    """Makes `explain(image, face)` for the faces that `predictor.find_faces` finds."""
    trained = predictor.trained
    compute_heat = gradcam.make_heat(
        trained.model, trained.preprocessing, trained.variables, batch=1
    )
    patch = max(1, round(_PATCH * trained.config.native_size))

    def explain(image: LoadedImage, face: Face) -> Explanation:
        (row,) = predictor.probabilities(face.crop[None])
        prediction = Prediction.from_probabilities(
            image.index,
            image.name,
            dict(zip(predictor.classes, map(float, row), strict=True)),
            face.box,
            face.confidence,
            region=face.region,
            doubt=face.doubt,
        )
        best = int(row.argmax())
        (heat,) = compute_heat(face.crop[None], np.array([best]))
        fall = occlusion.compute_occlusion_map(
            predictor.probabilities, face.crop, best, patch=patch, stride=max(1, patch // 2)
        )
        return Explanation(prediction, face.crop, heat, fall, trained.config.image_size)

    return explain


def explain(
    run: Path,
    inputs: Sequence[Path],
    out: Path,
    *,
    crops: bool,
    face_threshold: float | None = None,
    min_face: float | None = None,
    classes: Sequence[str] | None = None,
    check_faces: bool = True,
) -> int:
    """Writes one figure per face into a folder.

    Args:
        run: The network, as accepted by `faceemo.train.checkpoint.trained_model.read`.
        inputs: Existing paths of images and folders.
        out: The folder for the figures.
        crops: Whether every image is a face crop, so that no face is searched for.
        face_threshold: Confidence above which a detection is a face, see `predictor.load`.
        min_face: Height of the smallest faces, pixels, see `predictor.load`.
        classes: The classes to which predictions are restricted; None keeps all.
        check_faces: Whether each face is checked, see `predictor.load`.

    Returns:
        The exit code: `UNREADABLE` if some images could not be read, otherwise 0.

    Raises:
        UserError: If there is no network at `run`, or `out` holds an input.
    """
    found = find_inputs(inputs)
    refuse_others_alone(None, found)
    images = [one for one in found if one.kind not in (FILM, OTHER)]
    output_paths.check_folder("--out", out, [one.path for one in found])
    predictor = load(
        run,
        face_threshold=face_threshold,
        min_face=min_face,
        classes=classes,
        engine=JAX,
        check_faces=check_faces,
    )
    explain_face = make_explain(predictor)
    problems, without_face, names, written, colourless = [], [], set(), [], []
    loaded = (image for index, one in enumerate(images) for image in read_input(one, index))
    for image in tqdm(loaded, "explain", len(images), unit="image", disable=None):
        name = escape_name(image.name)
        if image.pixels is None:
            problems.append(f"{name}: {image.problem}")
            continue
        colourless += list_colourless(predictor, image)
        faces = predictor.find_faces(image, crops=crops)
        without_face += [] if faces else [name]
        for face in faces:
            place = out / output_paths.unique_name(Path(image.name), ".png", names)
            with style.use_theme(_THEME), staging.file(place) as partial:
                style.save(draw_explanation(explain_face(image, face)), partial)
            written.append(place)
    if not written:
        print("no face was found, nothing is written")
    elif len(written) == 1:
        print(f"wrote {escape_name(written[0])}")
    else:
        print(f"wrote {len(written)} figures into {escape_name(out)}")
    if colourless:
        print(describe_colourless(colourless), file=sys.stderr)
    skipped = describe_others(found)
    skipped += [
        f"{escape_name(one.path)}: a video, of which explain draws nothing"
        for one in found
        if one.kind == FILM
    ]
    for what, listed in (
        ("without a face", without_face),
        ("skipped", skipped),
        ("could not be read", problems),
    ):
        if listed:
            print(f"{len(listed)} {what}:", *listed, sep="\n  ", file=sys.stderr)
    return UNREADABLE if problems else 0


def draw_explanation(explanation: Explanation) -> Figure:
    """Draws the face, both maps over it and the probabilities, side by side."""
    prediction = explanation.prediction
    label = prediction.leaning or ""
    title, name = format_caption(prediction), shorten(escape_name(prediction.name), 90)
    figure = style.make_figure(_WIDTH, _HEIGHT, _THEME, title, name, grid=False)
    face, heat, fall = (_add_axes(figure, left, 1.65) for left in (0.1, 1.95, 4.4))
    size = explanation.crop.shape[0]
    extent = (0, size, size, 0)
    for axes in (face, heat, fall):
        axes.imshow(explanation.crop, cmap="gray", vmin=0, vmax=255, extent=extent)
        axes.axis("off")
    _set_title(face, _describe_size(size, explanation.image_size))
    _set_title(heat, f"Grad-CAM for {shorten(label, 14)}")
    # transparent where there is no evidence, so that the face stays visible
    evidence = heat.imshow(
        explanation.heat,
        cmap="inferno",
        vmin=0,
        vmax=1,
        alpha=compute_alpha(explanation.heat),
        extent=extent,
        interpolation="bilinear",
    )
    scale = _add_scale(figure, evidence, 3.65)
    scale.set_ticks([0, 1], labels=["none", "most"])
    _set_title(fall, "fall when covered, points")
    limit = max(0.01, float(np.abs(explanation.fall).max()))
    shades = fall.imshow(
        explanation.fall,
        cmap="PuOr_r",
        vmin=-limit,
        vmax=limit,
        alpha=compute_alpha(np.abs(explanation.fall) / limit),
        extent=extent,
    )
    scale = _add_scale(figure, shades, 6.1)
    scale.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:+z.3g}" if value else "0")
    _draw_bars(_add_axes(figure, 7.65, 1.45), prediction)
    _draw_legend(figure, label, in_colour=explanation.crop.ndim == 3)
    return figure


def _describe_size(stored: int, image_size: int) -> str:
    """Describes the sides of a crop and of the network's input that is made of it, in pixels."""
    if image_size == stored:
        return f"the network's input, {stored}x{stored}"
    how = "enlarged" if image_size > stored else "reduced"
    return f"{stored}x{stored}, {how} to {image_size}x{image_size}"


def compute_alpha(strength: np.ndarray) -> np.ndarray:
    """Computes a map's opacity over the face, 0..0.75, from its strength, 0..1."""
    return 0.75 * np.clip(strength, 0, 1) ** 0.7


def _add_axes(figure: Figure, left: float, width: float) -> Axes:
    """Adds axes with the height of a face; `left` and `width` are in inches."""
    return figure.add_axes((left / _WIDTH, _BELOW / _HEIGHT, width / _WIDTH, 1.65 / _HEIGHT))


def _add_scale(figure: Figure, shades: AxesImage, left: float) -> Colorbar:
    """Adds the scale of a map's colours; `left` is in inches."""
    scale = figure.colorbar(shades, cax=_add_axes(figure, left, 0.08))
    scale.outline.set_visible(False)
    scale.ax.tick_params(labelsize=7)
    return scale


def _draw_legend(figure: Figure, label: str, *, in_colour: bool) -> None:
    """Says below the maps what their colours mean."""
    patch = "a patch of its mean colour" if in_colour else "a grey patch"
    lines = (
        f"Grad-CAM: evidence for {label} in the last convolution, bright where it is greatest; "
        "only places of this face can be compared.",
        f"Covered: percentage points by which the probability of {label} falls (orange) or rises "
        f"(purple) when {patch} covers the place.",
    )
    for row, line in enumerate(lines):
        figure.text(
            0.1 / _WIDTH, (0.36 - 0.16 * row) / _HEIGHT, style.replace_unprintable(line),
            va="top", fontsize=7.5, color=_THEME.muted,
        )  # fmt: skip


def _draw_bars(axes: Axes, prediction: Prediction) -> None:
    """Draws the probabilities as horizontal bars, the most probable class in colour."""
    names = list(prediction.probabilities)
    values = [prediction.probabilities[name] for name in names]
    colours = [_THEME.first if name == prediction.leaning else _THEME.muted for name in names]
    rows = range(len(names))
    axes.barh(rows, values, color=colours, height=0.6)
    for row, value in zip(rows, values, strict=True):
        axes.text(value + 0.03, row, f"{value:.0%}", va="center", fontsize=7.5, color=_THEME.ink)
    axes.set_yticks(list(rows), [style.replace_unprintable(shorten(name, 14)) for name in names])
    axes.set_xlim(0, 1.3)  # room for the number behind a whole bar
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    _set_title(axes, "calibrated probability")


def _set_title(axes: Axes, text: str) -> None:
    axes.set_title(style.replace_unprintable(text), fontsize=8, loc="left", color=_THEME.muted)

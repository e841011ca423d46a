"""Draws the sheet of augmentations, made by the code that training runs."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from faceemo.analysis.theme import palette, style
from faceemo.config import CLASSES, ImageFormat
from faceemo.config.augmentation import AUGMENTATIONS, Augmentation
from faceemo.data.augment import augment
from faceemo.data.measure.decode import read_image
from faceemo.errors import UserError

SIDE = 96  # pixels of a face on the sheet: twice the stored side, so that resampling is visible
_USUAL = ImageFormat(48)
DRAWS = 3  # random draws per level


def choose_images(
    root: Path, seed: int, form: ImageFormat = _USUAL, classes: Sequence[str] = CLASSES
) -> np.ndarray:
    """Chooses one prepared train image per class at random.

    Args:
        root: Folder of the dataset.
        seed: Seed of the choice.
        form: Format in which images are stored.
        classes: C names.

    Returns:
        Images uint8 [C, S, S], or [C, S, S, 3] in colour.

    Raises:
        UserError: If a class has no prepared image.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for name in classes:
        folder = root / "unique_images" / "train" / name
        files = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
        if not files:
            raise UserError(
                expected=f"prepared images in {folder}",
                found="none",
                fix="run faceemo prepare (or any training) first, or point --data-dir "
                "at the folder that holds the prepared data",
            )
        chosen.append(read_image(files[rng.integers(len(files))], form))
    return np.stack(chosen)


def widest_limits(levels: Iterable[Augmentation]) -> Augmentation:
    """Returns the limits that hold the limits of all `levels`."""
    levels = list(levels)
    return Augmentation(
        shift=max(level.shift for level in levels),
        zoom=max(level.zoom for level in levels),
        flip=max(level.flip for level in levels),
        rotation=max(level.rotation for level in levels),
        stretch_contrast=any(level.stretch_contrast for level in levels),
        gamma=(min(level.gamma[0] for level in levels), max(level.gamma[1] for level in levels)),
    )


def make_transforms(limits: Augmentation) -> dict[str, Callable[[jax.Array], jax.Array]]:
    """Returns each transform alone and at its limit, by the words above its column.

    Every function takes uint8 [B, H, W] and returns float32 [B, SIDE, SIDE] in 0..255, or both with
    three channels at the end.
    """
    shift, zoom, angle = limits.shift, limits.zoom, limits.rotation

    def geometry(**changes) -> Callable[[jax.Array], jax.Array]:
        fields = {"shift_x": 0.0, "shift_y": 0.0, "zoom_x": 1.0, "zoom_y": 1.0}
        fields |= {"flip": False, "degrees": 0.0} | changes

        def apply(images: jax.Array) -> jax.Array:
            draws = {name: jnp.full(len(images), value) for name, value in fields.items()}
            return augment.resample(images, augment.affine(**draws), SIDE)

        return apply

    def gamma(exponent: float) -> Callable[[jax.Array], jax.Array]:
        def apply(images: jax.Array) -> jax.Array:
            enlarged = augment.enlarge(images, SIDE)
            return augment.apply_gamma(enlarged, jnp.full(len(images), exponent))

        return apply

    def stretch(images: jax.Array) -> jax.Array:
        return augment.stretch_contrast(augment.enlarge(images, SIDE))

    brightest, darkest = limits.gamma
    return {
        "original\n": geometry(),
        f"shift\n{shift:.0%}, {shift:.0%}": geometry(shift_x=shift, shift_y=shift),
        f"zoom\n{1 - zoom:g} × {1 + zoom:g}": geometry(zoom_x=1 - zoom, zoom_y=1 + zoom),
        "flip\n": geometry(flip=True),
        f"rotation\n{angle:g}°": geometry(degrees=angle),
        "contrast\nstretch": stretch,
        f"gamma\n{brightest:g}": gamma(brightest),
        f"gamma\n{darkest:g}": gamma(darkest),
    }


def draw_augmentation_sheet(
    images: np.ndarray,
    seed: int,
    *,
    classes: Sequence[str] = CLASSES,
    subtitle: str = "",
    theme: palette.Theme = palette.LIGHT,
) -> Figure:
    """Draws a row per class: each transform at its maximum, then random draws of each level.

    Args:
        images: One image per class, uint8 [C, S, S] or [C, S, S, 3].
        seed: Seed of the draws.
        classes: C names, in the same order.
        subtitle: Description of the images.
        theme: Colours.
    """
    source = jnp.asarray(images)
    alone = {
        head: np.asarray(apply(source))
        for head, apply in make_transforms(widest_limits(AUGMENTATIONS.values())).items()
    }
    groups: list[tuple[str, list[tuple[str, np.ndarray]]]] = [
        ("one transform at its maximum", list(alone.items()))
    ]
    index = jnp.arange(len(images))
    for level, limits in AUGMENTATIONS.items():
        if limits == Augmentation():
            continue  # draws nothing
        columns = []
        for draw in range(DRAWS):
            keys = augment.image_keys(jax.random.PRNGKey(seed), jnp.asarray(draw), index)
            drawn = augment.augment(source, keys, limits, SIDE)
            columns.append(("\n", np.asarray(drawn)))
        groups.append((f"{level}, drawn", columns))
    return _draw(groups, classes, subtitle, theme)


def _draw(
    groups: list[tuple[str, list[tuple[str, np.ndarray]]]],
    classes: Sequence[str],
    subtitle: str,
    theme: palette.Theme,
) -> Figure:
    cell, gap, names, top, inset = 0.72, 0.2, 0.75, 1.25, 0.04  # inches
    count = sum(len(columns) for _, columns in groups)
    width = names + count * cell + (len(groups) - 1) * gap + 0.1
    height = top + len(classes) * cell + 0.08
    with style.use_theme(theme):
        figure = style.make_figure(width, height, theme, "Augmentations", subtitle, grid=False)

        def write(text: str, x: float, y: float, **properties) -> None:
            figure.text(x / width, 1 - y / height, text, **properties)

        for row, name in enumerate(classes):
            write(name, 0.1, top + (row + 0.5) * cell, va="center")
        x = names
        for title, columns in groups:
            write(title, x, top - 0.42, weight="bold")
            for head, faces in columns:
                write(head, x, top - 0.07, va="bottom", fontsize=7.5, color=theme.muted)
                for row, face in enumerate(faces):
                    y = top + row * cell
                    side = cell - inset
                    place = (x / width, 1 - (y + side) / height, side / width, side / height)
                    axes = figure.add_axes(place)
                    if face.ndim == 3:  # matplotlib takes colours as bytes
                        face = np.clip(np.rint(face), 0, 255).astype(np.uint8)
                    axes.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                    axes.set_axis_off()
                x += cell
            x += gap
    return figure

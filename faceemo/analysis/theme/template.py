"""What every page is made with: the frame house.html.j2, number formats, pictures in the text."""

import base64
import functools
import io
import math
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from faceemo.analysis.theme import style

STYLE = "analysis/theme/house.css.j2"  # of every page, the demo of `faceemo serve` too
_THUMBNAIL = 96  # pixels: enough for a page, and larger images would swell it


def render(name: str, **context: Any) -> str:
    """The page that the template `name` makes of `context`. What comes from outside is escaped.

    The pictures in `context` must be data URIs (`uri`): the frame forbids every other address.
    """
    return _environment().get_template(name).render(light=style.LIGHT, dark=style.DARK, **context)


def uri(png: bytes) -> str:
    """A PNG as an address that holds it whole."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def face(image: np.ndarray) -> str:
    """The data URI of an image, reduced if it is large.

    Args:
        image: uint8 [H, W], grey, or [H, W, 3], RGB.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return uri(png(picture))


def png(picture: Image.Image) -> bytes:
    """`picture` as PNG, as small as it gets."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def number(value: Any, form: str = ",") -> str:
    """`value` in the given form; a dash for what is missing or not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float) and form == ",":
        return f"{value:.4g}"
    return format(value, form)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("faceemo", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["fact"] = _fact
    environment.filters["percent"] = lambda share: f"{100 * share:g}%"
    environment.filters["words"] = lambda key: str(key).replace("_", " ")
    return environment


def _fact(value: Any, name: str) -> str:
    """`value` as the table of the run shows it; counts of parameters get thousands separators."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int) and name.startswith("params"):
        return f"{value:,}"
    if isinstance(value, int):  # a seed is a name, not a quantity
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(_fact(part, name) for part in value)
    return number(value) if isinstance(value, float) else str(value)

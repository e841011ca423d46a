"""Renders pages from templates: number formats, and images embedded as data URIs."""

import base64
import functools
import io
import math
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from faceemo.analysis.theme import palette

_THUMBNAIL = 96  # pixels: enough for a page; larger images would swell the file


def render(name: str, **context: Any) -> str:
    """Renders the template `name`; values of `context` are escaped.

    Images in `context` must be data URIs (`png_uri`): base.html.j2 forbids every other address.
    """
    template = _environment().get_template(name)
    return template.render(light=palette.LIGHT, dark=palette.DARK, **context)


def png_uri(png: bytes) -> str:
    """Returns a data URI that holds the whole PNG."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def jpeg_uri(jpeg: bytes) -> str:
    """Returns a data URI that holds the whole JPEG."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def image_uri(image: np.ndarray) -> str:
    """Returns the data URI of an image, which is reduced if it is large.

    Args:
        image: uint8 [H, W], grey, or [H, W, 3], RGB.
    """
    thumbnail = Image.fromarray(np.ascontiguousarray(image))
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return png_uri(encode_png(thumbnail))


def encode_png(image: Image.Image) -> bytes:
    """Encodes `image` as the smallest PNG that Pillow can make."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def format_number(value: Any, form: str = ",") -> str:
    """Formats `value` by a format specification; a missing or non-finite value becomes a dash."""
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
    environment.filters["number"] = format_number
    environment.filters["percent"] = lambda share: f"{100 * share:g}%"
    return environment


def format_fact(value: Any, name: str) -> str:
    """Formats a value of a run's record; parameter counts get thousands separators."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int) and name.startswith("params"):
        return f"{value:,}"
    if isinstance(value, int):  # a seed is an identifier, not a quantity
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(format_fact(part, name) for part in value)
    return format_number(value) if isinstance(value, float) else str(value)

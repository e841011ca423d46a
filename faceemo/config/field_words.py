"""Fields of a configuration in the words of the command in use, for the hints that it prints.

`faceemo train` takes --image-size 96, `faceemo.main` --config.image_size=96, a sweep --overrides
image_size=96, and the text behind vgg16:7 and Python image_size=96.
"""

import contextlib
import contextvars
import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

# Set in the environment of the runs of a sweep.
IN_SWEEP = "FACEEMO_IN_SWEEP"
_Form = Callable[[str, Any], list[str]]


def as_option(field: str, value: Any = None) -> list[str]:
    """Returns the words by which `faceemo` takes a field: ['--image-size', '96'].

    Args:
        field: Name of the field.
        value: Its value; None names the field alone.
    """
    option = f"--{field.replace('_', '-')}"
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    return [option] if value is None else [option, _format(value)]


def as_flag(field: str, value: Any = None) -> list[str]:
    """Returns the word by which `faceemo.main` takes a field; see `as_option`."""
    return [f"--config.{word}" for word in as_pair(field, value)]


def as_pair(field: str, value: Any = None) -> list[str]:
    """Returns the pair of a field and its value: ['image_size=96']; see `as_option`."""
    return [field if value is None else f"{field}={_format(value)}"]


def as_override(field: str, value: Any = None) -> list[str]:
    """Returns the words by which a sweep takes a field; see `as_option`."""
    return ["--overrides", *as_pair(field, "..." if value is None else value)]


_form: contextvars.ContextVar[_Form] = contextvars.ContextVar("form", default=as_pair)


@contextlib.contextmanager
def spelled(form: _Form) -> Iterator[None]:
    """Makes `spell` use a form meanwhile: `as_option`, `as_flag`, `as_pair` or `as_override`."""
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def are_overrides() -> bool:
    """Returns whether the command in use takes fields as `as_override` writes them."""
    return _form.get() is as_override


def form_of_process() -> _Form:
    """Returns the form for `faceemo.main`: `as_override` in a run of a sweep, else `as_flag`."""
    return as_override if IN_SWEEP in os.environ else as_flag


def spell(field: str, value: Any = None) -> str:
    """Returns a field as the command in use takes it; see `as_option` for the arguments."""
    return shlex.join(_form.get()(field, value))


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

"""Parses the text after the colon of `--config configs/vgg16.py:7,image_size=96`."""

import re
from typing import Any

from faceemo.config.variants import VARIANTS
from faceemo.errors import UserError, suggestion

VARIANT_NAMES = (*range(len(VARIANTS)), "best")
DEFAULT_VARIANT = 7
# The values of a field's type in words, for messages.
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def parse(arg: str | None) -> tuple[int | str, dict[str, str]]:
    """Splits '7,image_size=96' into 7 and {'image_size': '96'}.

    Raises:
        UserError: If a part is neither a variant nor a field=value pair, or a field stands twice.
    """
    variant, overrides = DEFAULT_VARIANT, {}
    for position, part in enumerate(filter(None, (arg or "").split(","))):
        field, equals, value = part.partition("=")
        if equals and field in overrides:
            raise UserError(
                expected="each field once",
                found=f"{field}={overrides[field]} and {part}",
                fix="leave one of them out",
            )
        if equals and re.fullmatch(r"\w+", field):
            overrides[field] = value
        elif position == 0 and names_variant(part):
            variant = "best" if part == "best" else int(part)
        else:
            close = "" if equals else suggestion(part, [name for name in VARIANT_NAMES if name])
            is_variant = position == 0 and re.fullmatch(r"-?\w+", part)
            where = "" if part == arg else f" in '{arg}'"
            raise UserError(
                expected=f"a variant from 0 to {len(VARIANTS) - 1} or 'best', then field=value "
                "pairs, separated by commas",
                found=f"{'the variant ' * bool(is_variant)}'{part}'{where}{close}",
                fix="write for example vgg16:7 or vgg16:7,image_size=96,dataset=sample",
            )
    return variant, overrides


def names_variant(arg: str) -> bool:
    """Returns whether the first part of an argument is a variant, so that none is assumed."""
    return arg.partition(",")[0] in map(str, VARIANT_NAMES)


def convert_text(field: str, text: str, kind: type) -> Any:
    """Converts `text` to a field's type.

    Raises:
        UserError: If it is no value of that type.
    """
    if kind is bool and text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    if kind is not bool:
        try:
            return kind(text)
        except ValueError:
            pass  # reported below, with the field's name
    raise UserError(
        expected=f"{KINDS[kind]} for {field}", found=f"'{text}'", fix="change the value"
    )

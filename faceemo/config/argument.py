"""What stands behind the colon of `--config configs/vgg16.py:7,image_size=96`, taken apart."""

import re
from typing import Any

from faceemo.config.variants import VARIANTS
from faceemo.errors import UserError

VARIANT_NAMES = (*range(len(VARIANTS)), "best")


def parse(arg: str | None) -> tuple[int | str, dict[str, str]]:
    """Splits '7,image_size=96' into 7 and {'image_size': '96'}."""
    variant, overrides = 7, {}
    for position, part in enumerate(filter(None, (arg or "").split(","))):
        field, equals, value = part.partition("=")
        if equals and re.fullmatch(r"\w+", field) and field not in overrides:
            overrides[field] = value
        elif position == 0 and part in map(str, VARIANT_NAMES):
            variant = "best" if part == "best" else int(part)
        else:
            raise UserError(
                expected=f"a variant from 0 to {len(VARIANTS) - 1} or 'best', then field=value "
                "pairs (each field once), separated by commas",
                found=f"'{part}' in ':{arg}'",
                fix="write for example ':7' or ':7,image_size=96,dataset=sample'",
            )
    return variant, overrides


def typed(field: str, text: str, kind: type) -> Any:
    """`text` as a value of the field's type."""
    if kind is bool and text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    if kind is not bool:
        try:
            return kind(text)
        except ValueError:
            pass  # reported below, with the field's name
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
    raise UserError(expected=f"{wanted} for {field}", found=f"'{text}'", fix="change the value")

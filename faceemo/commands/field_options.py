"""The fields of a configuration as options: --image-size 96."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from faceemo.config import FIELDS, GROUPS, RULES, Field, argument, fields
from faceemo.errors import UserError, suggestion

ALL = tuple(name for name in FIELDS if name not in fields.BY_NAME)
_METAVARS = {int: "N", float: "X", str: "TEXT"}


def add_fields(parser: argparse.ArgumentParser, names: Iterable[str] = ALL) -> None:
    """Adds an option for each of the named fields, below the headings of their groups.

    Options that are not given leave no attribute behind, so that `given_fields` finds the others.
    """
    names = set(names)
    for heading in GROUPS:
        members = [name for name in FIELDS if name in names and FIELDS[name].group == heading]
        if members:
            group = parser.add_argument_group(heading)
            for name in members:
                _add_field(group, name, FIELDS[name])


def given_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the fields that the user gave as options."""
    return {name: value for name, value in vars(options).items() if name in ALL}


def _add_field(group: argparse._ArgumentGroup, name: str, field: Field) -> None:
    rule, takes = RULES[name], ""
    settings: dict[str, Any] = {}
    if field.kind is bool:
        settings["action"] = argparse.BooleanOptionalAction
    elif rule.choices:
        settings["choices"] = rule.choices
    else:
        is_path, is_name = "path" in rule.takes, "name" in rule.takes
        settings["type"] = _converter(name, field.kind)
        path = "NAME|FILE" if is_name else "PATH"
        settings["metavar"] = path if is_path else _METAVARS[field.kind]
        takes = "" if is_path else f"; takes {rule.takes}"
    group.add_argument(
        f"--{name.replace('_', '-')}",
        dest=name,
        default=argparse.SUPPRESS,
        help=f"{field.doc.removesuffix('.')}{takes} (default: {_describe_default(name)})".replace(
            "%", "%%"
        ),
        **settings,
    )


def _describe_default(name: str) -> str:
    """Returns the default of a field in words."""
    if name in fields.BY_VARIANT:
        return "the variant's"
    if name in fields.BY_BACKBONE:
        return "the first one of the backbone"
    default = FIELDS[name].default
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default) or "none"


def _converter(name: str, kind: type) -> Callable[[str], Any]:
    """Returns the function that converts the text of an option to the field's type."""

    def convert(text: str) -> Any:
        try:
            value = argument.convert_text(name, text, kind)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        rule = RULES[name]
        if not rule.holds(value):
            hint = suggestion(value, rule.choices)
            raise argparse.ArgumentTypeError(f"takes {rule.takes}, found '{text}'{hint}")
        return value

    return convert

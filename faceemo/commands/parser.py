"""What all commands have in common: their description, their parser, numbers as options."""

import argparse
import contextlib
import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from faceemo import errors
from faceemo.commands import usage_errors

FAILURE_CODES = "2 if something that was given does not fit, with one line that names it"


@dataclasses.dataclass(frozen=True)
class Command:
    """One command: `faceemo NAME`.

    Attributes:
        name: The word that names it.
        summary: What it does, in one line for the list of commands.
        description: What it does, with examples, for its own --help.
        exit_codes: Its exit codes in words, without those after a signal.
        add_arguments: Adds its arguments to a parser; must not import anything heavy.
        run: Runs it with the parsed arguments; returns the exit code.
        intermixed: Whether options may stand between the positional arguments.
        usage: Its usage, if the list of all options would be too long.
    """

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    exit_codes: str = f"0 if all was done; {FAILURE_CODES}"
    intermixed: bool = False
    usage: str | None = None

    def parse(self, parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
        """Parses the words after the command's name."""
        return parser.parse_intermixed_args(argv) if self.intermixed else parser.parse_args(argv)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions, and adds the default of every option that has one."""

    def add_argument(self, action: argparse.Action) -> None:
        """Adds an option or the list of commands, whose names share a line with their meaning."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2  # argparse overlooks that they are indented

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        silent = (None, False, argparse.SUPPRESS, "")
        if not text or "default" in text or not action.option_strings or action.nargs == 0:
            return text
        if action.default in silent or action.default == []:
            return text
        several = isinstance(action.default, list | tuple)
        shown = " ".join(map(str, action.default)) if several else "%(default)s"
        return f"{text} (default: {shown})"


class Parser(argparse.ArgumentParser):
    """A parser that takes options with dashes or underscores: --data-dir is --data_dir, too.

    It refuses what it does not know in one line, as commands refuse all mistakes.
    """

    def __init__(self, **settings: Any):
        """Takes the settings of `argparse.ArgumentParser`."""
        super().__init__(formatter_class=HelpFormatter, allow_abbrev=False, **settings)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        """Parses the arguments after writing all options with dashes."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(_with_dashes(words), namespace)

    def error(self, message: str) -> NoReturn:
        """Prints one line in place of usage and message, and exits with code 2."""
        with errors.reported():
            raise usage_errors.translate(message, self)


def _with_dashes(words: Sequence[str]) -> list[str]:
    """Replaces the underscores in names of options; words after '--' are no options.

    Those of faceemo.main, --config.image_size for example, stay as they are.
    """
    end = list(words).index("--") if "--" in words else len(words)
    options = [
        re.sub(r"^--[^=.]+", lambda match: match[0].replace("_", "-"), word) for word in words[:end]
    ]
    return [*options, *words[end:]]


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the folder of prepared data, which a script reads."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path("data"),
        help="folder of the prepared data",
    )


def whole_number(text: str) -> int:
    """Parses a whole number from 0 on."""
    return int(_number(int, text, lambda value: value >= 0, "a whole number from 0 on"))


def positive_int(text: str) -> int:
    """Parses a whole number from 1 on."""
    return int(_number(int, text, lambda value: value >= 1, "a whole number from 1 on"))


def port(text: str) -> int:
    """Parses the number of a port; 0 is one of them."""
    in_range = range(2**16).__contains__
    return int(_number(int, text, in_range, "a whole number from 0 to 65535"))


def positive_float(text: str) -> float:
    """Parses a finite number above 0."""
    return _number(float, text, lambda value: 0 < value < float("inf"), "a number above 0")


def non_negative_float(text: str) -> float:
    """Parses a finite number of at least 0."""
    return _number(float, text, lambda value: 0 <= value < float("inf"), "a number from 0 up")


def fraction(text: str) -> float:
    """Parses a number from 0 to below 1."""
    return _number(float, text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def _number(
    parse: Callable[[str], float], text: str, is_allowed: Callable[[Any], bool], expected: str
) -> float:
    """Parses an option's number, or makes argparse end with a message."""
    with contextlib.suppress(ValueError):
        if is_allowed(value := parse(text)):
            return value
    raise argparse.ArgumentTypeError(f"expected {expected}, found '{text}'")

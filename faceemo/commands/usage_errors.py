"""Translates argparse's messages into what was expected, what was found, and how to fix it."""

import argparse
import re
from collections.abc import Callable

from faceemo.errors import UserError, suggestion

_Translation = Callable[[re.Match[str], argparse.ArgumentParser], tuple[str, str]]


def translate(message: str, parser: argparse.ArgumentParser) -> UserError:
    """Makes the error of a command for a message of argparse.

    Args:
        message: The message that argparse hands to `ArgumentParser.error`.
        parser: The parser that refused the words.
    """
    for pattern, make in _TRANSLATIONS:
        if match := re.search(pattern, message, re.DOTALL):
            expected, found = make(match, parser)
            break
    else:
        expected, found = f"what {parser.prog} takes", message
    advice = "correct the command"
    if re.search(_REQUIRED, message) and (example := _find_example(parser)):
        advice = f"write for example {example}"
    fix = f"{advice}; {parser.prog} --help describes it"
    return UserError(expected=expected, found=found, fix=fix)


def _find_example(parser: argparse.ArgumentParser) -> str | None:
    """Returns the first command line in a command's description, without a comment."""
    found = re.search(
        rf"^    ({re.escape(parser.prog)} .+)$", parser.description or "", re.MULTILINE
    )
    return found[1] if found else None


def _refuse_missing(match: re.Match[str], parser: argparse.ArgumentParser) -> tuple[str, str]:
    names = [_MEANINGS.get(name, name) for name in match[1].split(", ")]
    return f"{', then '.join(names)} after {parser.prog}", "none"


def _refuse_choice(match: re.Match[str], parser: argparse.ArgumentParser) -> tuple[str, str]:
    # Python 3.11 writes quotation marks around the choices.
    choices = [choice.strip("'") for choice in match[3].split(", ")]
    hint = suggestion(match[2], choices)
    where = f" as {match[1]}" if match[1] else ""
    return f"one of {', '.join(choices)}{where}", f"'{match[2]}'{hint}"


def _refuse_unknown(match: re.Match[str], parser: argparse.ArgumentParser) -> tuple[str, str]:
    found = match[1]
    if option := re.search(r"(?:^| )--([\w-]+)", found):
        known = set(re.findall(r"--([\w-]+)", parser.format_help()))
        return f"an option of {parser.prog}", found + suggestion(
            option[1], known, " (did you mean --{}?)"
        )
    return f"no more words for {parser.prog}", found


def _refuse_value(match: re.Match[str], parser: argparse.ArgumentParser) -> tuple[str, str]:
    kinds = {"int": "a whole number", "float": "a number"}
    return f"{kinds.get(match[2], f'a {match[2]}')} as {match[1]}", match[3]


_REQUIRED = r"^the following arguments are required: (.*)$"
# What commands take in the place of a name in their usage.
_MEANINGS = {
    "CONFIG": "what to train (a configuration, the folder of a run, or images)",
    "RUN": "a network (the folder of a run, a model.npz or 'builtin')",
    "OTHER": "another run to compare with",
}
# Patterns of argparse's messages, and of those that faceemo's own types of arguments raise.
_TRANSLATIONS: tuple[tuple[str, _Translation], ...] = (
    (r"^(?:argument (.*?): )?invalid choice: '(.*?)' \(choose from (.*)\)$", _refuse_choice),
    (r"^unrecognized arguments: (.*)$", _refuse_unknown),
    (r"^argument (.*?): invalid (\w+) value: (.*)$", _refuse_value),
    (
        r"^argument (.*?): expected (one argument|at least one argument|\d+ arguments?)$",
        lambda match, parser: (f"a value after {match[1]}", "none"),
    ),
    (
        r"^argument (.*?): expected (.*?)(?: for \w+)?[,;] found (.*?)(?:\. Fix: .*)?$",
        lambda match, parser: (f"{match[2]} as {match[1]}", match[3]),
    ),
    (
        r"^argument (.*?): takes (.*), found (.*)$",
        lambda match, parser: (f"{match[2]} as {match[1]}", match[3]),
    ),
    (
        r"^argument (.*?): not allowed with argument (.*)$",
        lambda match, parser: (f"{match[1]} or {match[2]}", "both"),
    ),
    (_REQUIRED, _refuse_missing),
    (
        r"^one of the arguments (.*) is required$",
        lambda match, parser: (f"one of {match[1].replace(' ', ', ')}", "none"),
    ),
)

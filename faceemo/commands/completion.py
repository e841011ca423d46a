"""The command `faceemo completion`, which writes a script for the user's shell."""

import argparse
from collections.abc import Callable
from pathlib import Path

from faceemo.commands.parser import Command
from faceemo.errors import UserError

NAME = "completion"
SHELLS = ("bash", "zsh", "tcsh")
_DESCRIPTION = """Prints the script by which a shell completes commands, options and their values.

    source <(faceemo completion bash)                                   # in ~/.bashrc
    faceemo completion zsh > ~/.zsh/completions/_faceemo                # a folder in $fpath
    faceemo completion tcsh > ~/.faceemo.tcsh; source ~/.faceemo.tcsh   # in ~/.tcshrc
"""


def make_command(make_parser: Callable[[], argparse.ArgumentParser]) -> Command:
    """Makes the command.

    Args:
        make_parser: Makes the parser of `faceemo` with all of its commands.
    """

    def run(options: argparse.Namespace) -> int:
        try:
            import shtab
        except ImportError as error:
            raise UserError(
                expected="the package shtab, which writes the script",
                found="none",
                fix="pip install shtab",
            ) from error
        parser = make_parser()
        for action in _walk(parser):
            if action.type is Path or action.metavar in _PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=options.shell))
        return 0

    return Command(
        NAME, "print the script for completion in your shell", _DESCRIPTION, _add_arguments, run
    )


# Arguments that take a path among other things.
_PATHS = ("CONFIG", "RUN", "PATH", "NAME|FILE")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _walk(parser: argparse.ArgumentParser):
    """Yields the actions of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _walk(command)

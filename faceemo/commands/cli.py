"""The command `faceemo`: its tree of commands, and how it ends."""

import contextlib
import os
import shlex
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faceemo
from faceemo import errors
from faceemo.commands import completion, deploy, heap, images, predict, sweep, train
from faceemo.commands.parser import Command, Parser
from faceemo.config import field_words

# Exit codes after a signal, as shells have them; SIGPIPE has no name on Windows.
_SIGNAL_EXIT, _SIGPIPE = 128, 13

_DESCRIPTION = """Recognises emotions in faces: trains, evaluates and uses networks.

    faceemo predict builtin photo.jpg      predict with the network that comes with faceemo
    faceemo train my_faces/                train on a folder with a folder of images per class
    faceemo train vgg16:7                  train a variant of the study
"""


def make_commands() -> dict[str, Command]:
    """Returns all commands by name, in the order of --help."""
    own = (*train.COMMANDS, *images.COMMANDS, *sweep.COMMANDS, *predict.COMMANDS, *deploy.COMMANDS)
    commands = {command.name: command for command in own}
    return commands | {completion.NAME: completion.make_command(lambda: make_parsers()[0])}


def make_parsers() -> tuple[Parser, dict[str, Parser]]:
    """Makes the parser of `faceemo`, and those of its commands by name."""
    top = Parser(
        prog="faceemo",
        description=_DESCRIPTION,
        epilog="faceemo COMMAND --help describes a command.",
    )
    top.add_argument("--version", action="version", version=f"faceemo {faceemo.__version__}")
    choices: Any = top.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    parsers = {}
    for command in make_commands().values():
        parser = choices.add_parser(
            command.name,
            prog=f"faceemo {command.name}",
            help=command.summary,
            description=command.description,
            usage=command.usage,
            epilog=textwrap.fill(f"Exit codes: {command.exit_codes}.", 100),
        )
        command.add_arguments(parser)
        parsers[command.name] = parser
    return top, parsers


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names; returns the exit code."""
    errors.escape_for_terminal()
    if argv is None:  # a process of its own
        heap.keep()
    words = sys.argv[1:] if argv is None else list(argv)
    top, parsers = make_parsers()
    if not words:
        top.print_help(sys.stderr)
        print(file=sys.stderr)
        with errors.reported():
            raise errors.UserError(
                expected="a command",
                found="none",
                fix="name one of those above, for example: faceemo predict builtin photo.jpg",
            )
    if words[0] not in parsers:
        with errors.reported():
            _refuse_first_word(words[0], top, list(parsers))
        top.parse_args(words[:1])  # ends with the help or the version
    command = make_commands()[words[0]]
    options = command.parse(parsers[command.name], words[1:])
    with field_words.spelled(field_words.as_option), _exit_cleanly():
        return command.run(options)


def _refuse_first_word(word: str, top: Parser, commands: Sequence[str]) -> None:
    """Refuses a word that is neither a command nor an option that stands alone.

    Raises:
        UserError: If it is neither; the message suggests the closest one.
    """
    alone = [option for action in top._actions for option in action.option_strings]
    if word in alone:
        return
    fix = "'faceemo' alone lists the commands"
    if word.startswith("-"):
        found = f"{word}{errors.suggestion(word, alone, ' (did you mean {}?)')}"
        fix += "; put options after the command"
    elif Path(word).exists():
        found = f"'{word}', which is a file or folder"
        fix += f", for example: faceemo predict builtin {shlex.quote(word)}"
    else:
        found = f"'{word}'{errors.suggestion(word, commands)}"
    raise errors.UserError(expected="a command", found=found, fix=fix)


@contextlib.contextmanager
def _exit_cleanly() -> Iterator[None]:
    """Turns mistakes into one line, and Ctrl-C and a closed pipe into their exit codes."""
    try:
        with errors.reported():
            yield
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("faceemo: interrupted", file=sys.stderr)
        raise SystemExit(_SIGNAL_EXIT + signal.SIGINT) from None
    except BrokenPipeError:
        # The rest of the output is dropped, or Python would report the error again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_SIGNAL_EXIT + _SIGPIPE) from None


if __name__ == "__main__":
    sys.exit(main())

"""The command: `python -m faceemo.main --config configs/vgg16.py:7`."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from faceemo import errors
from faceemo.commands import heap, modes
from faceemo.config import check_field, default_workdir, field_words, shipped, validate
from faceemo.config.argument import convert_text, names_variant

EXAMPLE = "python -m faceemo.main --config configs/vgg16.py:7"


class _Choice(flags.EnumParser):
    """Parses one of several words and suggests the closest one."""

    def parse(self, argument: str) -> str:
        if argument not in self.enum_values:
            raise ValueError(
                f"takes {', '.join(self.enum_values)}"
                + errors.suggestion(argument, self.enum_values)
            )
        return argument


def _define_choice(
    name: str, default: str, choices: Sequence[str], help_text: str
) -> flags.FlagHolder[str]:
    parser, serializer = _Choice(list(choices)), flags.ArgumentSerializer()
    described = f"<{'|'.join(choices)}>: {help_text}"
    return flags.DEFINE(parser, name, default, described, serializer=serializer)


_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="configs/ARCH.py:VARIANT[,FIELD=VALUE...]; see faceemo train --help"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder; default: one in checkpoints/")
_MODE = _define_choice(
    "mode",
    "train",
    list(modes.MODES),
    "; ".join(f"{mode}: {meaning}" for mode, meaning in modes.MODES.items()),
)
_SPLIT = _define_choice(
    "split", "validation", modes.SPLITS, f"for --mode=evaluate: {modes.SPLIT_HELP}"
)
_GROUPS = flags.DEFINE_string("groups", None, f"for --mode=evaluate: {modes.GROUPS_HELP}")
_COORDINATOR = flags.DEFINE_string("coordinator", None, modes.COORDINATOR_HELP)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "number of processes that train")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "number of this process, from 0")


def main(argv: list[str]) -> None:
    """Validates the configuration and runs the mode that --mode names."""
    with field_words.spelled(field_words.form_of_process()), errors.reported():
        if len(argv) > 1:
            raise errors.UserError(
                expected="options only", found=f"'{argv[1]}'", fix="see --help for the options"
            )
        config = validate(_CONFIG.value)
        argument = _config_argument(sys.argv) or ""
        modes.run_mode(
            _MODE.value,
            config,
            Path(_WORKDIR.value or default_workdir(config)),
            assumed=not names_variant(argument.partition(":")[2]),
            split=_SPLIT.value,
            groups=Path(_GROUPS.value) if _GROUPS.value else None,
            processes=modes.Processes(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value),
        )


def _parse(argv: list[str]) -> list[str]:
    """Parses the command line; a mistake in it becomes one message and exit code 2."""
    argv = [_find_shipped(word, before) for before, word in zip(["", *argv], argv, strict=False)]
    with errors.reported():
        if not any(re.fullmatch(r"--?help(short|full|xml)?", word) for word in argv):
            _check_config_options(argv)
        try:
            rest = flags.FLAGS(argv)
        except flags.UnrecognizedFlagError as error:
            raise _unknown_option(error.flagname) from error
        except flags.IllegalFlagValueError as error:
            if str(error).startswith("flag --config=") and error.__context__:
                raise error.__context__ from None  # a bug in the configuration file
            raise _refused_option(error) from error
        except flags.Error as error:
            raise _refused_option(error) from error
    if not flags.FLAGS["verbosity"].present:
        modes.silence_info()
    return rest


def _refused_option(error: flags.Error) -> errors.UserError:
    return errors.UserError(
        expected="options as --help lists them",
        found=" ".join(str(error).split()),
        fix="correct or remove that option",
    )


def _unknown_option(name: str) -> errors.UserError:
    return errors.UserError(
        expected="options as --help lists them",
        found=f"--{name}{errors.suggestion(name, flags.FLAGS)}",
        fix="correct or remove that option",
    )


def _check_config_options(argv: list[str]) -> None:
    """Refuses a missing configuration file, and fields that a configuration does not have.

    ml_collections reports both as exceptions that bugs in a configuration file can raise, too;
    checking first lets such bugs keep their traceback.
    """
    argument = _config_argument(argv)
    if not argument:
        for word in argv[1:]:
            match = re.match(r"--?([\w-]+)(=|$)", word)
            if match and match[1] not in flags.FLAGS and errors.closest(match[1], [_CONFIG.name]):
                raise _unknown_option(match[1])
        raise errors.UserError(
            expected="a configuration, --config FILE:VARIANT",
            found="no --config",
            fix=f"write for example {EXAMPLE}",
        )
    path = Path(argument.partition(":")[0])
    if not path.is_file():
        raise errors.UserError(
            expected="a configuration file that exists",
            found=f"'{path}'{_similar_file(path)}",
            fix=_advise_on_file(path),
        )
    for word in argv[1:]:
        if match := re.match(r"--?(?:no)?config\.([^=]+)(=.*)?$", word):
            field, value = match[1], match[2]
            kind = check_field(field, f"--config.{{field}}{value or '=VALUE'}")
            if value and kind is not bool:  # absl knows more words for true and false
                convert_text(field, value[1:], kind)


def _config_argument(argv: list[str]) -> str | None:
    """Returns the value of --config, or None if it is not given."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if match := re.match(r"--?config(?:=(.*))?$", word, re.DOTALL):
            return following if match[1] is None else match[1]
    return None


def _find_shipped(word: str, before: str) -> str:
    """Returns an argument with the path of the shipped file in --config=configs/NAME.py, if needed.

    Args:
        word: The argument.
        before: The argument before it.
    """
    match = re.match(r"(--?config=|)([^:]+)(.*)", word, re.DOTALL)
    if not match or not (match[1] or re.fullmatch("--?config", before)):
        return word
    return f"{match[1]}{shipped.find(Path(match[2]))}{match[3]}"


def _similar_file(path: Path) -> str:
    files = [*path.parent.glob("*.py")] if path.parent.is_dir() else []
    files += [file for file in shipped.files() if file.parent == path.parent]
    names = [file.stem for file in files]
    return errors.suggestion(path.stem, names, f" (did you mean '{path.with_name('{}.py')}'?)")


def _advise_on_file(path: Path) -> str:
    """Returns advice: the configuration files beside `path`, or those that come with faceemo."""
    files = sorted(path.parent.glob("*.py")) if path.parent.name else []
    return f"name one that exists: {', '.join(map(str, files or shipped.files()))}"


if __name__ == "__main__":
    heap.keep()
    app.run(main, flags_parser=_parse)

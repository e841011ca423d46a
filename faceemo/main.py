"""The command: `python -m faceemo.main --config configs/vgg16.py:7`."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# TensorFlow only writes metrics and reads records here; its start-up messages are noise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from faceemo import errors
from faceemo.config import BACKBONES, check_field, default_workdir, validate
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
    "config", help_string="configs/ARCH.py:VARIANT[,FIELD=VALUE...]; see faceemo/config/fields.py"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder; default: one in checkpoints/")
_MODE = _define_choice(
    "mode",
    "train",
    ["train", "evaluate", "plan", "lr_find"],
    "train: prepare the data if necessary, train or resume, report; evaluate: restore the "
    "best epoch and report on --split; plan: print which parameters train and which are frozen, "
    "without data; lr_find: try learning rates from the initial weights and suggest one",
)
_SPLIT = _define_choice(
    "split", "validation", ["validation", "test"], "the split that --mode=evaluate reports on"
)
_GROUPS = flags.DEFINE_string(
    "groups",
    None,
    "for --mode=evaluate: a CSV with the column path ('test/happy/7.jpg') and columns of groups, "
    "by which the report divides the images",
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "to train in several processes, given to each: HOST:PORT of the first one; or 'auto' where JAX "
    "finds the others itself (TPU pods, SLURM, Open MPI)",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "number of processes that train")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "number of this process, from 0")


def main(argv: list[str]) -> None:
    """Validates the configuration and runs the mode that --mode names."""
    with errors.reported():
        if len(argv) > 1:
            raise errors.UserError(
                expected="options only", found=f"'{argv[1]}'", fix="see --help for the options"
            )
        config = validate(_CONFIG.value)
        workdir = Path(_WORKDIR.value or default_workdir(config))
        with _joined_processes():
            _run(config, workdir)


def _run(config: ConfigDict, workdir: Path) -> None:
    # These imports take seconds, which a mistyped option need not wait for.
    from faceemo.experiments import run
    from faceemo.train import compile_cache, interrupt

    compile_cache.enable()
    print(_heading(config, _config_argument(sys.argv) or ""))
    try:
        if _MODE.value == "plan":
            run.plan(config)
        elif _MODE.value == "lr_find":
            run.lr_find(config, workdir)
        elif _MODE.value == "train":
            run.train(config, workdir)
        else:
            groups = Path(_GROUPS.value) if _GROUPS.value else None
            run.evaluate(config, workdir, _SPLIT.value, groups)
    except interrupt.Stopped:
        print(f"stopped and saved in {workdir}; the same command resumes it", file=sys.stderr)
        raise SystemExit(interrupt.EXIT_CODE) from None
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes from what {workdir} holds", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def _heading(config: ConfigDict, argument: str) -> str:
    """Returns the first line of a run: what is trained, on what devices.

    Args:
        config: The run's configuration.
        argument: Value of --config, which tells whether a variant was named.
    """
    import jax

    assumed = "" if names_variant(argument.partition(":")[2]) else " (the default; none was named)"
    devices, platform = jax.device_count(), jax.default_backend()
    return ", ".join(
        [
            f"{BACKBONES[config.arch].title}, variant {config.variant}{assumed}",
            f"{config.image_size} px",
            f"batch {config.batch_size}",
            f"{config.epochs} epoch{'s' * (config.epochs != 1)}",
            f"weights {config.weights}",
            f"{devices} {platform} device{'s' * (devices != 1)}",
        ]
    )


@contextlib.contextmanager
def _joined_processes() -> Iterator[None]:
    """Joins the other processes, if there are any; all but the first print nothing."""
    if _COORDINATOR.value is None:
        if _NUM_PROCESSES.value is not None or _PROCESS_ID.value is not None:
            raise errors.UserError(
                expected="--coordinator with --num_processes and --process_id",
                found="no --coordinator",
                fix="add --coordinator=HOST:PORT of the first process",
            )
        yield
        return
    from faceemo.train import parallel

    parallel.join(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    with contextlib.ExitStack() as stack:
        if not parallel.is_first():
            os.environ["TQDM_DISABLE"] = "1"
            stack.enter_context(
                contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w")))
            )
        yield


def _parse(argv: list[str]) -> list[str]:
    """Parses the command line; a mistake in it becomes one message and exit code 2."""
    with errors.reported():
        if not any(re.fullmatch(r"--?help(short|full|xml)?", word) for word in argv):
            _check_config_options(argv)
        try:
            rest = flags.FLAGS(argv)
        except flags.UnrecognizedFlagError as error:
            raise errors.UserError(
                expected="options as --help lists them",
                found=f"--{error.flagname}{errors.suggestion(error.flagname, flags.FLAGS)}",
                fix="correct or remove that option",
            ) from error
        except flags.IllegalFlagValueError as error:
            if str(error).startswith("flag --config=") and error.__context__:
                raise error.__context__ from None  # a bug in the configuration file
            raise _refused_option(error) from error
        except flags.Error as error:
            raise _refused_option(error) from error
    if not flags.FLAGS["verbosity"].present:
        # Orbax reports every rename at INFO.
        logging.set_verbosity(logging.WARNING)
    return rest


def _refused_option(error: flags.Error) -> errors.UserError:
    return errors.UserError(
        expected="options as --help lists them",
        found=" ".join(str(error).split()),
        fix="correct or remove that option",
    )


def _check_config_options(argv: list[str]) -> None:
    """Refuses a missing configuration file, and fields that a configuration does not have.

    ml_collections reports both as exceptions that bugs in a configuration file can raise, too;
    checking first lets such bugs keep their traceback.
    """
    argument = _config_argument(argv)
    if not argument:
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


def _similar_file(path: Path) -> str:
    names = [file.stem for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return errors.suggestion(path.stem, names, f" (did you mean '{path.with_name('{}.py')}'?)")


def _advise_on_file(path: Path) -> str:
    """Returns advice: the configuration files beside `path` or in configs/, or how to find them."""
    for folder in (path.parent, Path("configs")):
        if files := sorted(folder.glob("*.py")) if folder.name else []:
            return f"name one that exists: {', '.join(map(str, files))}"
    return f"give the path of a checkout's file, or change into the checkout: {EXAMPLE}"


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)

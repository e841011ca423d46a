"""The command: `python -m faceemo.main --config configs/vgg16.py:7`."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

# TensorFlow only writes metrics and reads records here; its greetings are not ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from faceemo import errors
from faceemo.config import default_workdir, validate

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="configs/ARCH.py:VARIANT[,FIELD=VALUE...]; see faceemo/config/fields.py"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder; default: one in checkpoints/")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate", "plan", "lr_find"],
    "train: prepare data if need be, train or go on, report; evaluate: restore the best epoch and "
    "report on --split; plan: print what trains and what is frozen, without data; lr_find: try "
    "learning rates from the initial weights and suggest one",
)
_SPLIT = flags.DEFINE_enum(
    "split", "validation", ["validation", "test"], "what --mode=evaluate reports on"
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
    "finds out by itself (TPU pods, SLURM, Open MPI)",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes train together")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


def main(argv: list[str]) -> None:
    """Dispatches to `faceemo.experiments.run`."""
    with errors.reported():
        if len(argv) > 1:
            raise errors.UserError(
                expected="options only", found=f"'{argv[1]}'", fix="see --help for what there is"
            )
        with _named_fields():
            config = validate(_CONFIG.value)
        workdir = Path(_WORKDIR.value or default_workdir(config))
        with _one_of_several():
            _run(config, workdir)


def _run(config: ConfigDict, workdir: Path) -> None:
    from faceemo.experiments import run  # takes seconds, which a mistyped option need not wait for
    from faceemo.train import compile_cache, interrupt

    compile_cache.keep()
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
        print(f"stopped and saved in {workdir}; the same command goes on", file=sys.stderr)
        raise SystemExit(interrupt.EXIT_CODE) from None
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from what {workdir} holds", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


@contextlib.contextmanager
def _one_of_several() -> Iterator[None]:
    """Joins the other processes, if there are any; all but the first are quiet."""
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
    flags.mark_flag_as_required("config")
    with errors.reported(), _named_fields():
        rest = app.parse_flags_with_usage(argv)
    if not flags.FLAGS["verbosity"].present:
        # Orbax tells every rename at INFO
        logging.set_verbosity(logging.WARNING)
    return rest


@contextlib.contextmanager
def _named_fields() -> Iterator[None]:
    """Makes one message of ml_collections' ways to say that a file or a field does not exist."""
    try:
        yield
    except (AttributeError, KeyError, OSError) as error:
        raise errors.UserError(
            expected="a configuration file that exists and fields that it has",
            found=" ".join(str(error.args[0] if error.args else error).split()),
            fix="write --config configs/vgg16.py:7 --config.FIELD=VALUE, from the checkout",
        ) from error


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)

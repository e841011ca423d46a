"""The modes of a run, which `faceemo train` and `python -m faceemo.main` share."""

import contextlib
import dataclasses
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging
from ml_collections import ConfigDict

from faceemo import errors
from faceemo.config import BACKBONES, warmup_epochs
from faceemo.train.checkpoint import run_folders

MODES = {
    "train": "prepare the data if necessary, train or resume, report",
    "evaluate": "restore the best epoch and report on --split",
    "plan": "print which parameters train and which are frozen, without data",
    "lr_find": "try learning rates from the initial weights and suggest one",
}
SPLITS = ("validation", "test")
SPLIT_HELP = "the split that is reported on"
GROUPS_HELP = (
    "a CSV with the column path ('test/happy/7.jpg', or the image's path in your source) and "
    "columns of groups, by which the report divides the images"
)
COORDINATOR_HELP = (
    "to train in several processes, given to each: HOST:PORT of the first one; or 'auto' where JAX "
    "finds the others itself (TPU pods, SLURM, Open MPI)"
)


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes that train together, if there are several.

    Attributes:
        coordinator: HOST:PORT of the first one, or 'auto' where JAX finds the others itself; None
            for a process that trains alone.
        count: Number of processes.
        number: Number of this process, from 0.
    """

    coordinator: str | None = None
    count: int | None = None
    number: int | None = None


def run_mode(
    mode: str,
    config: ConfigDict,
    workdir: Path,
    *,
    assumed: bool = False,
    remarks: Sequence[str] = (),
    split: str = "validation",
    groups: Path | None = None,
    processes: Processes = Processes(),
) -> None:
    """Runs one mode of a run, in this process or together with others.

    Args:
        mode: A key of `MODES`.
        config: The run's configuration, validated.
        workdir: The run's folder.
        assumed: Whether the variant is the default because none was named.
        remarks: Lines to print first, if no package for the mode is missing.
        split: For 'evaluate': one of `SPLITS`.
        groups: For 'evaluate': the CSV of `GROUPS_HELP`.
        processes: The processes that train together.

    Raises:
        SystemExit: If the run was stopped by a signal, with the exit code for that.
        UserError: If something does not fit.
    """
    quieten_xla()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines of a long run have to appear at once, also in a pipe or a file.
        sys.stdout.reconfigure(line_buffering=True)
    with _joined(processes), contextlib.ExitStack() as stack:
        if mode != "plan":
            # Before JAX and the weights, which take longer to load.
            _check_images(config, processes, may_replace=run_folders.is_run(workdir))
        # These imports take seconds, which a mistyped option need not wait for.
        from faceemo.train import interrupt, run_log
        from faceemo.train.programs import compile_cache

        # Before the first line, so that a missing package is the only thing that is printed.
        action = _load(mode, config, workdir, split, groups)
        compile_cache.enable()
        # Beside a mistyped command's images there must be no log.
        if mode in ("train", "lr_find") or (mode == "evaluate" and run_folders.is_run(workdir)):
            from faceemo.train import parallel

            if parallel.is_first():
                stack.enter_context(run_log.keep(workdir))
        print(*remarks, _heading(config, assumed), sep="\n")
        try:
            action()
        except interrupt.Stopped:
            run_log.tell(f"stopped and saved in {workdir}; the same command resumes it")
            raise SystemExit(interrupt.EXIT_CODE) from None
        except KeyboardInterrupt:
            run_log.tell(f"\n{_describe_interruption(mode, workdir)}")
            raise SystemExit(128 + signal.SIGINT) from None


def _check_images(config: ConfigDict, processes: Processes, may_replace: bool) -> None:
    """Refuses images that are missing, or prepared otherwise, on the host that prepares them.

    Args:
        config: The run's configuration.
        processes: The processes that train together.
        may_replace: Whether images that were prepared with other classes may be prepared again.
    """
    from faceemo import data

    def check(config: ConfigDict) -> None:
        data.check_present(config)
        if not may_replace:
            data.refuse_to_replace(config)

    if processes.coordinator is not None:
        from faceemo.train import parallel

        parallel.on_first(check)(config)
    else:
        check(config)


def _describe_interruption(mode: str, workdir: Path) -> str:
    """Says what an interruption without saving leaves, and what the same command then does."""
    if mode != "train":
        return "stopped; the same command starts again"
    if run_folders.is_run(workdir):
        return f"stopped; the same command resumes from what {workdir} holds"
    return "stopped; nothing had been trained yet; the same command starts again"


def _load(
    mode: str, config: ConfigDict, workdir: Path, split: str, groups: Path | None
) -> Callable[[], object]:
    """Imports what a mode needs, and returns it as a function; see `run_mode` for the arguments."""
    if mode == "plan":  # which does without the packages of a run
        from faceemo.experiments import plan

        return functools.partial(plan.print_plan, config)
    from faceemo.experiments import run

    if mode == "lr_find":
        return functools.partial(run.lr_find, config, workdir)
    if mode == "train":
        return functools.partial(run.train, config, workdir)
    return functools.partial(run.evaluate, config, workdir, split, groups)


def evaluate_stored(
    network: Path, config: ConfigDict, workdir: Path, split: str, groups: Path | None
) -> None:
    """Evaluates a stored network; see `faceemo.experiments.stored.evaluate` for the arguments."""
    quieten_xla()
    from faceemo.experiments import stored
    from faceemo.train.programs import compile_cache

    compile_cache.enable()
    stored.evaluate(network, config, workdir, split, groups)


def quieten_xla() -> None:
    """Hides XLA's messages below errors, which are of no use to users."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def silence_info() -> None:
    """Hides messages of the level INFO; Orbax reports every rename there."""
    logging.set_verbosity(logging.WARNING)


def _heading(config: ConfigDict, assumed: bool) -> str:
    """Returns the first line of a run: what is trained, on what devices."""
    import jax

    remark = " (the default; none was named)" if assumed else ""
    devices, platform = jax.device_count(), jax.default_backend()
    warmup = warmup_epochs(config)
    shortened = (
        f"warm-up shortened from {config.warmup_epochs:g} epoch to {warmup:g}"
        if warmup != config.warmup_epochs
        else ""
    )
    parts = (
        f"{BACKBONES[config.arch].title}, variant {config.variant}{remark}",
        f"{config.image_size} px",
        f"batch {config.batch_size}",
        f"{config.epochs} epoch{'s' * (config.epochs != 1)}",
        f"weights {config.weights}",
        f"{devices} {platform} device{'s' * (devices != 1)}",
        shortened,
    )
    return ", ".join(filter(None, parts))


@contextlib.contextmanager
def _joined(processes: Processes) -> Iterator[None]:
    """Joins the other processes, if there are any; all but the first print nothing."""
    if processes.coordinator is None:
        if processes.count is not None or processes.number is not None:
            raise errors.UserError(
                expected="--coordinator with --num_processes and --process_id",
                found="no --coordinator",
                fix="add --coordinator=HOST:PORT of the first process",
            )
        yield
        return
    from faceemo.train import parallel

    parallel.join(processes.coordinator, processes.count, processes.number)
    with contextlib.ExitStack() as stack:
        if not parallel.is_first():
            os.environ["TQDM_DISABLE"] = "1"
            stack.enter_context(
                contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w")))
            )
        yield

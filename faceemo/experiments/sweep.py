"""A sweep: many runs one after the other, each in its own process so that failures stay isolated.

A sweep is a folder with one subfolder per run. The same command continues an interrupted sweep:
finished runs are skipped, interrupted runs resume, and failed runs are tried again.
"""

import collections
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from faceemo import data, staging
from faceemo.config import default_workdir, field_words, make_config, validate
from faceemo.errors import UserError
from faceemo.experiments import time_left
from faceemo.experiments.sweep_run import Run
from faceemo.train import interrupt
from faceemo.train.checkpoint import run_folders

LOGS = "logs"
_WARNING = "warning:"
_ECHOED_PREFIXES = ("epoch ", _WARNING)  # lines of a run's output that the sweep prints too


class Interrupted(KeyboardInterrupt):
    """An interruption of a sweep during a run.

    Attributes:
        run: The run. It has saved its state if it had begun to train.
    """

    def __init__(self, run: Run):
        """Takes the run."""
        super().__init__(run.name)
        self.run = run


def plan_runs(
    root: Path,
    models: Iterable[tuple[str, int | str]],
    seeds: int = 1,
    overrides: str = "",
    fields: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> list[Run]:
    """Makes the runs of a sweep: all models with the first seed, then with the next, and so on.

    Args:
        root: Folder of the sweep.
        models: (backbone, variant) pairs: one of `config.ARCHS`, and 0 to 11 or 'best'.
        seeds: Number of seeds, counted up from the configuration's.
        overrides: 'field=value' pairs for all runs, separated by commas.
        fields: Further fields for the runs of each backbone. The names of their folders do not
            have these.

    Raises:
        UserError: If a configuration is not valid, or `seeds` is below 1.
    """
    if seeds < 1:
        raise UserError(
            expected="--seeds of at least 1",
            found=str(seeds),
            fix="give --seeds a whole number from 1",
        )
    models, runs = list(models), []
    for number in range(seeds):
        for arch, variant in models:
            arg = ",".join(filter(None, (str(variant), overrides)))
            config = make_config(arch, arg)
            if number:
                arg += f",seed={config.seed + number}"
                config = make_config(arch, arg)
            workdir = root / default_workdir(config).name
            more = fields.get(arch, {})
            config.update(more)
            runs.append(Run(validate(config), arg, workdir, more))
    return runs


def train_runs(runs: Sequence[Run], root: Path, configs: Path) -> dict[str, str]:
    """Trains all runs that are not finished.

    Args:
        runs: Runs from `plan_runs`.
        root: Folder of the sweep; the output of each run goes to root/logs.
        configs: Folder with one configuration file per backbone.

    Returns:
        The reason of each failed run, by name.

    Raises:
        Interrupted: After an interruption, once the current run has saved its state.
        UserError: If all runs are refused for the same reason before any of them trains.
    """
    failed = refuse(runs)
    staging.make_folder(root / LOGS)
    overheads: list[float] = []
    warnings: set[str] = set()
    for number, run in enumerate(runs, 1):
        head = f"[{number} of {len(runs)}] {run.name}"
        if run.is_finished():
            keep_best_weights(run.workdir)  # in case the sweep was killed before it did this
            print(f"{head}: already finished")
            continue
        if run.name in failed:
            print(f"{head}: refused, see above")
            continue
        # The smallest overhead: only the first run may have had to prepare the images.
        left = time_left.estimate_seconds_left(runs, min(overheads, default=0.0))
        minutes = math.ceil(left / 60) if left else None
        estimate = f"; estimated {minutes} min left for the whole sweep" if minutes else ""
        started = time.monotonic()
        try:
            print(f"{head}{estimate}", flush=True)
            problem = _train(run, root / LOGS / f"{run.name}.log", configs, warnings)
        except KeyboardInterrupt:
            raise Interrupted(run) from None
        elapsed = time.monotonic() - started
        if problem:
            failed[run.name] = problem
            print(f"  failed after {elapsed:.0f} s: {problem}", flush=True)
            continue
        keep_best_weights(run.workdir)
        summary = run.read_summary() or {}
        overheads.append(elapsed - summary["seconds"])
        print(f"  validation accuracy {summary['val_accuracy']:.4f}, {elapsed:.0f} s", flush=True)
    return failed


def refuse(runs: Sequence[Run]) -> dict[str, str]:
    """Checks before any run trains whether all can, and prints once why some of them cannot.

    Args:
        runs: Runs from `plan_runs`. Those that have begun are not checked.

    Returns:
        The reason of each run that cannot train, by name.

    Raises:
        UserError: If none can, for the same reason.
    """
    from faceemo.train.checks import dead_features  # which imports the networks

    found: dict[str, list[Run]] = collections.defaultdict(list)
    refusals: dict[str, UserError] = {}
    for run in runs:
        if run_folders.is_run(run.workdir) or run.is_finished():
            continue
        try:
            data.check_present(run.config)
            dead_features.refuse_known(run.config)
        except UserError as error:
            found[str(error)].append(run)
            refusals[str(error)] = error
    for reason, refused in found.items():
        if len(refused) == len(runs):
            raise refusals[reason]
        names = ", ".join(run.name for run in refused)
        print(f"{len(refused)} of {len(runs)} runs are refused: {reason}. These are {names}.")
    return {run.name: reason for reason, refused in found.items() for run in refused}


def keep_best_weights(workdir: Path) -> None:
    """Removes a finished run's training states and all but the newest of its best weights."""
    shutil.rmtree(workdir / "latest", ignore_errors=True)
    best = sorted((workdir / "best").glob("[0-9]*"), key=lambda path: int(path.name))
    for older in best[:-1]:
        shutil.rmtree(older)


def _train(run: Run, log: Path, configs: Path, warnings: set[str]) -> str:
    """Trains a run in its own process.

    Args:
        run: The run.
        log: File for its output.
        configs: Folder with one configuration file per backbone.
        warnings: Warnings of the sweep's runs that were printed; those of this run are added.

    Returns:
        '' or why it failed.
    """
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            run.command(configs),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | {field_words.IN_SWEEP: "1"},
            start_new_session=True,  # Ctrl-C reaches this process only, which passes it on once
        ) as process,
    ):
        try:
            last_line = _copy_output(process, file, warnings)
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if code == interrupt.EXIT_CODE:
        raise KeyboardInterrupt
    return f"{last_line} (exit code {code}; full output in {log})" if code else ""


def _copy_output(process: subprocess.Popen, file: TextIO, warnings: set[str]) -> str:
    """Copies the process's output to `file` until it ends; see `_train` for `warnings`.

    Returns:
        The last non-empty line.
    """
    last_line = "no message"
    for line in process.stdout or ():
        file.write(line)
        file.flush()
        # A progress bar overwrites its own line.
        if text := line.rpartition("\r")[2].strip():
            last_line = text
            if text.startswith(_ECHOED_PREFIXES) and text not in warnings:
                print(f"  {text}", flush=True)
            if text.startswith(_WARNING):
                warnings.add(text)
    return last_line

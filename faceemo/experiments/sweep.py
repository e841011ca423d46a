"""Many variants one after the other, each in a process of its own, so that none takes others along.

A sweep is a folder with a run in each subfolder. The same command goes on where it stopped: what is
finished is skipped, what was interrupted resumes, what failed is tried again.
"""

import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.config import MAY_DIFFER, default_workdir, make_config
from faceemo.errors import UserError
from faceemo.train import interrupt
from faceemo.train.checkpoint import progress
from faceemo.train.checkpoint.checkpoints import recorded_history

LOGS = "logs"
_ECHOED = ("epoch ", "warning:")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep: its configuration, as an argument too, and its folder."""

    config: ConfigDict
    arg: str
    workdir: Path

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.workdir.name

    def command(self, configs: Path) -> list[str]:
        """What trains it; `configs` is the folder with a file per backbone."""
        file = f"{configs / self.config.arch}.py:{self.arg}"
        return [
            *(sys.executable, "-m", "faceemo.main"),
            *(f"--config={file}", f"--workdir={self.workdir}"),
        ]

    def finished(self) -> bool:
        """Whether its records tell of this very configuration, images and budget included."""
        history = recorded_history(self.workdir)
        if not history or not (summary := self.summary()):
            return False
        # a field younger than the run had its default in it
        found = make_config(self.config.arch).to_dict() | summary["config"]
        return progress.finished(history, self.config.epochs, self.config.patience) and all(
            found[field] == value
            for field, value in self.config.items()
            if field not in MAY_DIFFER - {"data_dir", "source"}
        )

    def summary(self) -> dict[str, Any] | None:
        """What the run says of itself at its end."""
        path = self.workdir / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def plan(
    root: Path,
    models: Iterable[tuple[str, int | str]],
    seeds: int = 1,
    overrides: str = "",
) -> list[Run]:
    """The runs of a sweep, seed after seed, so that a first answer to every question comes early.

    Args:
        root: folder of the sweep.
        models: backbone (of `config.ARCHS`) and variant (0 to 11, 'best') of each.
        seeds: how many, counted up from the configuration's.
        overrides: 'field=value' pairs for all runs, separated by commas.

    Raises:
        UserError: if a configuration is not allowed, or there are fewer seeds than one.
    """
    if seeds < 1:
        raise UserError(expected="one seed or more", found=str(seeds), fix="give --seeds 1")
    models, runs = list(models), []
    for number in range(seeds):
        for arch, variant in models:
            arg = ",".join(filter(None, (str(variant), overrides)))
            config = make_config(arch, arg)
            if number:
                arg += f",seed={config.seed + number}"
                config = make_config(arch, arg)
            runs.append(Run(config, arg, root / default_workdir(config).name))
    return runs


def sweep(runs: Sequence[Run], root: Path, configs: Path) -> dict[str, str]:
    """Runs what is not finished; returns why those failed that did, by name.

    Args:
        runs: of `plan`.
        root: folder of the sweep; what the runs print goes to root/logs.
        configs: folder with a configuration file per backbone.

    Raises:
        KeyboardInterrupt: if it is asked to stop; the run under way has saved then.
    """
    (root / LOGS).mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    overheads: list[float] = []
    for number, run in enumerate(runs, 1):
        head = f"[{number} of {len(runs)}] {run.name}"
        if run.finished():
            keep_best_weights(run.workdir)  # which the process may not have come to
            print(f"{head}: finished before")
            continue
        # the first may have prepared the images, which the others need not
        left = seconds_left(runs, min(overheads, default=0.0))
        told = f"; about {math.ceil(left / 60)} min left for all" if left else ""
        print(f"{head}{told}", flush=True)
        started = time.monotonic()
        problem = _train(run, root / LOGS / f"{run.name}.log", configs)
        took = time.monotonic() - started
        if problem:
            failed[run.name] = problem
            print(f"  failed after {took:.0f} s: {problem}", flush=True)
            continue
        keep_best_weights(run.workdir)
        summary = run.summary() or {}
        overheads.append(took - summary["seconds"])
        print(f"  validation accuracy {summary['val_accuracy']:.4f}, {took:.0f} s", flush=True)
    return failed


def keep_best_weights(workdir: Path) -> None:
    """Removes a finished run's whole states and all but the newest of its best weights."""
    shutil.rmtree(workdir / "latest", ignore_errors=True)
    best = sorted((workdir / "best").glob("[0-9]*"), key=lambda path: int(path.name))
    for older in best[:-1]:
        shutil.rmtree(older)


def seconds_left(runs: Sequence[Run], overhead: float = 0.0) -> float | None:
    """How long those that are not finished may take, judged by those that are, or None.

    The time of training goes with `_cost`, judged by the runs of the same backbone, else by all.

    Args:
        runs: of the sweep, finished or not.
        overhead: what a run takes beside its training, seconds.
    """
    done = [run for run in runs if run.finished()]
    if not done:
        return None

    def pace(known: Sequence[Run]) -> float:
        spent = sum((run.summary() or {})["seconds"] for run in known)
        return spent / sum(_cost(run.config) for run in known)

    paces = {
        arch: pace([run for run in done if run.config.arch == arch])
        for arch in {run.config.arch for run in done}
    }
    overall = pace(done)
    return sum(
        paces.get(run.config.arch, overall) * _cost(run.config) + overhead
        for run in runs
        if not run.finished()
    )


# Passes through the network that a training step takes, by the blocks that train: one forward, two
# backward through what trains (docs/speed.md has the measured ones).
_PASSES = {"0": 1.0, "1": 1.3, "2": 1.7, "3": 2.2, "all": 3.0}


def _cost(config: ConfigDict) -> float:
    """Of a run, in units that runs of one backbone and one set of images share."""
    images = config.steps_per_epoch * config.batch_size or 1
    area = config.image_size**2
    cached = config.unfreeze == "0" and config.augmentation == "none"
    epochs = 1 if cached and config.cache_features == "auto" else config.epochs
    return _PASSES[config.unfreeze] * epochs * images * area


def _train(run: Run, log: Path, configs: Path) -> str:
    """Trains in a process; '' or why it failed. Its epochs are shown, all it says is in `log`."""
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            run.command(configs),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C comes here, and goes on to it once
        ) as process,
    ):
        try:
            last = _follow(process, file)
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if code == interrupt.EXIT_CODE:
        raise KeyboardInterrupt
    return f"{last} (exit code {code}; all it said is in {log})" if code else ""


def _follow(process: subprocess.Popen, file) -> str:
    """Copies what the process says until it ends; returns the last line."""
    last = "no message"
    for line in process.stdout or ():
        file.write(line)
        file.flush()
        # a progress bar writes over its own line
        if text := line.rpartition("\r")[2].strip():
            last = text
            if text.startswith(_ECHOED):
                print(f"  {text}", flush=True)
    return last

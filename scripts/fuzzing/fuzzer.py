"""Gives a target one input after the other and checks how it handles them."""

import collections
import contextlib
import hashlib
import itertools
import json
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
from tqdm import tqdm

from . import corpus, films, mutation, tables, worker

# (function that makes valid inputs, strategy that damages them) of each target.
SOURCES = {
    "predictor": (lambda: {**corpus.images(), **films.films()}, mutation.picture_files),
    "zip": (lambda: {**corpus.zips(), **tables.tables()}, mutation.source_files),
    "server": (corpus.requests, mutation.requests),
}
MAX_SECONDS = 1.0  # CPU time, and idle time, that an input may take
# CPU time besides, because large images are searched for small faces in tiles.
SECONDS_PER_MEGAPIXEL = 1.0
MAX_GROWTH = 32.0  # MiB that the process may gain after the first tenth of its inputs
# Health checks of Hypothesis that slow targets and inputs of some kilobytes fail.
_SUPPRESSED_CHECKS = (
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.data_too_large,
    hypothesis.HealthCheck.large_base_example,
)
_RETRIES = 3  # of an input during which the process was idle for too long
# With fewer inputs, one large image can raise the level of the allocator.
MIN_INPUTS_FOR_GROWTH = 1000
_LOG_LINES = 20  # shown of a process that ended


class Failure(Exception):
    """A failing input; each kind of failure gets a subclass."""


class Fuzzer:
    """One run of a target over many inputs.

    Attributes:
        results: Results from the worker in order, without those of simplified inputs.
        failures: (simplest failing file or None, details) by kind of failure.

    Args:
        target: One of `SOURCES`.
        out: Folder for failing inputs.
        program: Command line that replaces the worker, for tests.
    """

    def __init__(self, target: str, out: Path, program: Sequence[str] = ()):
        self.target, self.out = target, out
        self._program = program
        self.results: list[dict[str, Any]] = []
        self.failures: dict[str, tuple[Path | None, str]] = {}
        self._known_failures: dict[bytes, str] = {}
        self._failure_types: dict[str, type[Exception]] = {}

    def run(self, inputs: int, seed: int) -> None:
        """Runs the target on all valid files, which are not counted, then on damaged ones."""
        make_valid, damaged_files = SOURCES[self.target]
        with self._start_worker() as process, tqdm(total=inputs, unit="input", disable=None) as bar:
            for name, content in make_valid().items():
                self._check(process, name, content)
            self.results.clear()

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=inputs,
                database=None,
                deadline=None,
                phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
                suppress_health_check=_SUPPRESSED_CHECKS,
            )
            @hypothesis.given(damaged_files())
            def check_one(file: mutation.DamagedFile) -> None:
                kind = self._check(process, *file)
                bar.update()
                if kind:  # Hypothesis tells bugs apart by the type of the exception
                    new_type = type("KindOfFailure", (Failure,), {})
                    raise self._failure_types.setdefault(kind, new_type)(kind)

            try:
                check_one()
            except* Failure:  # one or several
                pass
            enough = len(self.results) >= MIN_INPUTS_FOR_GROWTH and not self.failures
            if enough and (growth := self.memory_growth()) > MAX_GROWTH:
                detail = "see 'least memory in each tenth' above"
                self.failures[f"{growth:.0f} MiB more memory"] = None, detail

    def memory_growth(self) -> float:
        """Returns the MiB gained from the second tenth of the inputs to the last, by minima.

        What the process uses cannot be more than its smallest size; larger ones hold pages that the
        C library keeps.
        """
        tenth = max(1, len(self.results) // 10)
        sizes = [result["megabytes"] for result in self.results]
        warm = sizes[tenth : 2 * tenth] or sizes
        return min(sizes[-tenth:]) - min(warm)

    def format_report(self) -> str:
        """Formats statistics of the run and all failures."""
        lines = self._format_statistics() if self.results else ["no damaged input was run"]
        for kind, (path, detail) in self.failures.items():
            lines.append(f"FAILED: {kind}")
            if path:
                replay = f"--target {self.target} --replay {shlex.quote(str(path))}"
                lines.append(f"  python scripts/fuzz.py {replay}")
            lines.append(detail)
        return "\n".join(lines)

    def replay(self, path: Path) -> str:
        """Runs the target on one file and returns the report."""
        with self._start_worker() as process:
            self._check(process, path.name, path.read_bytes())
        return self.format_report()

    def _format_statistics(self) -> list[str]:
        seconds = [result["seconds"] for result in self.results]
        sizes = [result["megabytes"] for result in self.results]
        ends = [len(sizes) * tenth // 10 for tenth in range(11)]
        least = [min(sizes[start:end] or sizes) for start, end in itertools.pairwise(ends)]
        outcomes = collections.Counter(result["outcome"] for result in self.results)
        return [
            f"{len(self.results):,} inputs, {sum(seconds):,.0f} s of CPU time; per input "
            f"median {statistics.median(seconds) * 1000:.1f} ms, maximum {max(seconds):.2f} s",
            f"least memory in each tenth, MiB: {', '.join(f'{size:.0f}' for size in least)}; peak "
            f"{max(result['peak'] for result in self.results):.0f}; growth "
            f"{self.memory_growth():.1f}",
            *(f"  {count:>6,}  {outcome}" for outcome, count in outcomes.most_common()),
        ]

    def _check(self, process: "_Process", name: str, content: bytes) -> str:
        """Returns the kind of failure or '', always the same for the same content."""
        key = hashlib.sha256(name.encode() + b"\0" + content).digest()
        if key in self._known_failures:
            return self._known_failures[key]
        result = process.run(name, content)
        for _ in range(_RETRIES):
            if result["idle"] > MAX_SECONDS:
                result = process.run(name, content)
        kind, detail = "", result["failure"]
        if detail:
            kind = result["outcome"]
        elif result["seconds"] > (
            MAX_SECONDS + SECONDS_PER_MEGAPIXEL * result.get("megapixels", 0.0)
        ):
            kind = "slow"
            detail = f"{result['seconds']:.1f} s of CPU time, {result['outcome']}"
        elif result["idle"] > MAX_SECONDS:
            kind = "waiting"
            detail = f"{result['idle']:.1f} s idle, {result['outcome']}"
        if not self.failures:  # after a failure Hypothesis simplifies its input
            self.results.append(result)
        if kind:
            self._known_failures[key] = kind
            self.out.mkdir(parents=True, exist_ok=True)
            kinds = list(self._failure_types)
            number = kinds.index(kind) if kind in kinds else len(kinds)
            path = self.out / f"{self.target}-{number}{Path(name).suffix}"
            path.write_bytes(content)
            self.failures[kind] = path, detail
        return kind

    @contextlib.contextmanager
    def _start_worker(self) -> Iterator["_Process"]:
        with tempfile.TemporaryDirectory() as folder:
            command = self._program or [
                *(sys.executable, "-m", worker.__name__, self.target, str(Path(folder, "work"))),
            ]
            Path(folder, "work").mkdir()
            process = _Process(command, Path(folder))
            try:
                yield process
            finally:
                process.end()


class _Process:
    """The worker's process, which is started again when it ended."""

    def __init__(self, command: Sequence[str], folder: Path):
        self._command, self._folder = command, folder
        self._log = folder / "log"
        self._running: subprocess.Popen[str] | None = None

    def run(self, name: str, content: bytes) -> dict[str, Any]:
        """Writes a file, gives it to the worker and returns the result."""
        running = self._running or self._start()
        path = self._folder / f"input{Path(name).suffix}"
        path.write_bytes(content)
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(f"{path}\n")
        running.stdin.flush()
        if line := running.stdout.readline():
            return json.loads(line)
        return self._describe_end(running)

    def end(self) -> None:
        """Ends the process, if it runs."""
        if self._running:
            self._running.kill()
            self._running.communicate()
        self._running = None

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("w") as log:
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).parents[1],
            )
        assert self._running.stdout is not None
        if self._running.stdout.readline().strip() != worker.READY:
            raise RuntimeError(f"the target did not start:\n{self._tail()}")
        return self._running

    def _describe_end(self, running: subprocess.Popen[str]) -> dict[str, Any]:
        code = running.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        meaning = {"SIGPROF": " (a hang)", "SIGALRM": " (it did not return)"}.get(how, "")
        tail = self._tail()
        self.end()
        return {
            "outcome": f"the process ended: {how}{meaning}",
            "failure": tail or "it printed nothing",
            "seconds": 0.0,
            "idle": 0.0,
            "megabytes": 0.0,
            "peak": 0.0,
        }

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

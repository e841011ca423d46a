"""Gives a target its inputs, one after the other, and judges what becomes of them."""

import collections
import contextlib
import hashlib
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

from . import corpus, mutation, worker

# What the inputs of each target are made of, and how.
SOURCES = {
    "predictor": (corpus.images, mutation.image_files),
    "zip": (corpus.zips, mutation.zip_files),
    "server": (corpus.requests, mutation.requests),
}
SLOW = 1.0  # seconds of the processor, from which on an input counts as a hang
GROWTH = 32.0  # MiB that the process may gain after the first tenth of its inputs
# What Hypothesis would rather stop at: a target that takes its time, and inputs of some kilobytes.
_UNHEALTHY = (
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.data_too_large,
    hypothesis.HealthCheck.large_base_example,
)
_AGAIN = 3  # times that an input is asked about again whose answer was waited for
# Inputs from which on growth is judged: in fewer, one large picture raises the allocator's level.
LONG = 1000
_LOG_LINES = 20  # of a process that ended, which are shown


class Found(Exception):
    """An input that must not be; each kind of failure is a class below this."""


class Referee:
    """One run over many inputs.

    Attributes:
        answers: of the target, in order; without those of inputs that were simplified.
        failures: what is wrong, by kind, with the file that shows it, if one does: the simplest.

    Args:
        target: of `SOURCES`.
        out: folder for the inputs that fail.
        program: what is asked, instead of the worker with that target.
    """

    def __init__(self, target: str, out: Path, program: Sequence[str] = ()):
        self.target, self.out = target, out
        self._program = program
        self.answers: list[dict[str, Any]] = []
        self.failures: dict[str, tuple[Path | None, str]] = {}
        self._verdicts: dict[bytes, str] = {}
        self._kinds: dict[str, type[Exception]] = {}

    def run(self, inputs: int, seed: int) -> None:
        """Asks for the valid files, which are not counted, then for so many damaged ones."""
        valid, damaged = SOURCES[self.target]
        with self._asking() as ask, tqdm(total=inputs, unit="input", disable=None) as bar:
            for name, content in valid().items():
                self._judge(ask, name, content)
            self.answers.clear()

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=inputs,
                database=None,
                deadline=None,
                phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
                suppress_health_check=_UNHEALTHY,
            )
            @hypothesis.given(damaged())
            def one(file: mutation.Damaged) -> None:
                kind = self._judge(ask, *file)
                bar.update()
                if kind:  # an exception of its own kind is a bug of its own to Hypothesis
                    raise self._kinds.setdefault(kind, type("One", (Found,), {}))(kind)

            try:
                one()
            except* Found:  # one or several
                pass
            enough = len(self.answers) >= LONG and not self.failures
            if enough and (grown := self.growth()) > GROWTH:
                self.failures[f"{grown:.0f} MiB more memory"] = None, "as the line above shows"

    def growth(self) -> float:
        """MiB gained from the second tenth of the inputs to the last: medians."""
        tenth = max(1, len(self.answers) // 10)
        sizes = [answer["megabytes"] for answer in self.answers]
        warm = sizes[tenth : 2 * tenth] or sizes
        return statistics.median(sizes[-tenth:]) - statistics.median(warm)

    def report(self) -> str:
        """What there was, in lines."""
        lines = self._figures() if self.answers else ["no input but valid files was asked about"]
        for kind, (path, detail) in self.failures.items():
            lines.append(f"FAILED: {kind}")
            if path:
                replay = f"--target {self.target} --replay {shlex.quote(str(path))}"
                lines.append(f"  python scripts/fuzz.py {replay}")
            lines.append(detail)
        return "\n".join(lines)

    def replay(self, path: Path) -> str:
        """What becomes of one file, in lines."""
        with self._asking() as ask:
            self._judge(ask, path.name, path.read_bytes())
        return self.report()

    def _figures(self) -> list[str]:
        seconds = [answer["seconds"] for answer in self.answers]
        sizes = [answer["megabytes"] for answer in self.answers]
        steps = [sizes[len(sizes) * tenth // 10] for tenth in range(10)] + [sizes[-1]]
        outcomes = collections.Counter(answer["outcome"] for answer in self.answers)
        return [
            f"{len(self.answers):,} inputs, {sum(seconds):,.0f} s of the processor; an input "
            f"{statistics.median(seconds) * 1000:.1f} ms in the median, {max(seconds):.2f} at most",
            f"memory, MiB: {', '.join(f'{size:.0f}' for size in steps)} from tenth to tenth; peak "
            f"{max(answer['peak'] for answer in self.answers):.0f}; grown by {self.growth():.1f}",
            *(f"  {count:>6,}  {outcome}" for outcome, count in outcomes.most_common()),
        ]

    def _judge(self, ask: "_Process", name: str, content: bytes) -> str:
        """The kind of failure, '' if there is none; the same for the same content, always."""
        known = hashlib.sha256(name.encode() + b"\0" + content).digest()
        if known in self._verdicts:
            return self._verdicts[known]
        answer = ask.about(name, content)
        for _ in range(_AGAIN):
            if answer["idle"] > SLOW:
                answer = ask.about(name, content)
        kind, detail = "", answer["failure"]
        if detail:
            kind = answer["outcome"]
        elif answer["seconds"] > SLOW:
            kind = "slow"
            detail = f"{answer['seconds']:.1f} s, {answer['outcome']}"
        elif answer["idle"] > SLOW:
            kind = "waiting"
            detail = f"{answer['idle']:.1f} s without work, {answer['outcome']}"
        if not self.failures:  # from then on inputs are simplified ones
            self.answers.append(answer)
        if kind:
            self._verdicts[known] = kind
            self.out.mkdir(parents=True, exist_ok=True)
            number = list(self._kinds).index(kind) if kind in self._kinds else len(self._kinds)
            path = self.out / f"{self.target}-{number}{Path(name).suffix}"
            path.write_bytes(content)
            self.failures[kind] = path, detail
        return kind

    @contextlib.contextmanager
    def _asking(self) -> Iterator["_Process"]:
        with tempfile.TemporaryDirectory() as folder:
            command = self._program or [
                *(sys.executable, "-m", worker.__name__, self.target, str(Path(folder, "own"))),
            ]
            Path(folder, "own").mkdir()
            process = _Process(command, Path(folder))
            try:
                yield process
            finally:
                process.end()


class _Process:
    """The worker, started anew when it ends."""

    def __init__(self, command: Sequence[str], folder: Path):
        self._command, self._folder = command, folder
        self._log = folder / "log"
        self._running: subprocess.Popen[str] | None = None

    def about(self, name: str, content: bytes) -> dict[str, Any]:
        """Its answer on a file."""
        running = self._running or self._start()
        path = self._folder / f"input{Path(name).suffix}"
        path.write_bytes(content)
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(f"{path}\n")
        running.stdin.flush()
        if line := running.stdout.readline():
            return json.loads(line)
        return self._died(running)

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

    def _died(self, running: subprocess.Popen[str]) -> dict[str, Any]:
        code = running.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        meaning = {"SIGPROF": " (a hang)", "SIGALRM": " (it stood still)"}.get(how, "")
        tail = self._tail()
        self.end()
        return {
            "outcome": f"the process ended: {how}{meaning}",
            "failure": tail or "it said nothing",
            "seconds": 0.0,
            "idle": 0.0,
            "megabytes": 0.0,
            "peak": 0.0,
        }

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

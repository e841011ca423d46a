"""The extension's library: compiled once on each kind of processor, and kept in the cache.

It is compiled on the machine that uses it, because it needs JAX's headers and is several times as
fast with all instructions of the processor; a package that is installed could rely on neither.
"""

import concurrent.futures
import ctypes
import dataclasses
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import jax

from faceemo import staging
from faceemo.assets import catalogue
from faceemo.assets.processor import processor_id
from faceemo.errors import UserError
from faceemo.models.layers import switch
from faceemo.models.layers.extension import probe

SWITCH = "FACEEMO_EXTENSION"
_FOLDER = Path(__file__).parent
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = (
    *("-O3", "-march=native", "-std=c++17", "-fPIC", "-DNDEBUG"),
    *("-fno-math-errno", "-fno-trapping-math"),
)
_LIMIT = 240  # seconds; on two idle cores the compiler and the probe take about 16 together
_PROBE = [sys.executable, "-m", probe.__name__]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        library: The library; None if there is none.
        reason: Why there is none; an empty text if there is one.
    """

    library: Path | None
    reason: str = ""


def find_library() -> Found:
    """Returns the library for this machine, from the cache, or builds it, which takes seconds.

    If it cannot be compiled, or if its results are wrong, the reason is kept in its place.

    Raises:
        UserError: If the switch has another value than 0 or 1, or CXX is no valid command.
    """
    if (reason := _find_obstacle()) is not None:
        return Found(None, reason)
    path = library_path()
    try:
        if found := _read(path):
            return found
        path.parent.mkdir(parents=True, exist_ok=True)
        # Other processes of a run wait for the first one to build it.
        with staging.locked(path.parent):
            return _read(path) or _make(path)
    except OSError as error:
        return Found(None, f"it cannot be kept: {error}")


def _read(path: Path) -> Found | None:
    """Returns what an earlier process found out; None if the library is to be built."""
    if path.is_file() and _is_loadable(path):
        return Found(path)
    failure = path.with_suffix(".txt")
    return Found(None, failure.read_text(encoding="utf-8")) if failure.is_file() else None


def _make(path: Path) -> Found:
    """Builds and keeps the library; keeps the reason if there is a lasting one against it."""
    # Beside its place: from a folder for temporary files it may not be allowed to run.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        failed = _build(built)
        if failed is None:
            built.replace(path)
            return Found(path)
    if failed.lasting:
        with staging.file(path.with_suffix(".txt")) as partial:
            partial.write_text(failed.reason, encoding="utf-8")
    return Found(None, failed.reason)


def library_path() -> Path:
    """Returns where this machine's library is kept; without it, the next start builds it."""
    sources = [*_sources(), *sorted(_FOLDER.glob("*.h"))]
    facts = [path.read_text(encoding="utf-8") for path in sources]
    facts += [*_FLAGS, *(find_compiler() or ()), metadata.version("jaxlib"), processor_id()]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
    return catalogue.cache_dir() / "extension" / f"{digest}.so"


def _sources() -> list[Path]:
    return sorted(_FOLDER.glob("*.cc"))


def find_compiler() -> tuple[str, ...] | None:
    """Returns the command of the C++ compiler: CXX, or the first that there is; None if none.

    Raises:
        UserError: If CXX is no valid command.
    """
    try:
        given = tuple(shlex.split(os.environ.get("CXX", "")))
    except ValueError as error:
        raise UserError(
            expected="the environment variable CXX to name a C++ compiler",
            found=f"CXX={os.environ['CXX']} ({error})",
            fix="set CXX to a command such as g++, or leave it unset",
        ) from error
    if given:
        return given
    return next(((name,) for name in _COMPILERS if shutil.which(name)), None)


def _find_obstacle() -> str | None:
    """Returns why there is nothing to build, or None."""
    if reason := switch.find_obstacle(SWITCH, "XLA alone"):
        return reason
    if os.name != "posix":
        return f"it is for Linux and macOS, and this is {sys.platform}"
    if find_compiler() is None:
        return f"there is no C++ compiler: {', '.join(_COMPILERS)} were not found, CXX is not set"
    return None


def _is_loadable(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path))
    except OSError:  # damaged, or of another system that shares this folder
        return False
    return True


@dataclasses.dataclass(frozen=True)
class _Failure:
    """Why there is no library.

    Attributes:
        reason: What failed, and how.
        lasting: False if the next start may succeed.
    """

    reason: str
    lasting: bool


def _build(path: Path) -> _Failure | None:
    """Compiles and probes the library; returns what is wrong with it, None if nothing is."""
    objects = [path.with_name(f"{source.stem}.o") for source in _sources()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for failed in pool.map(_compile, _sources(), objects):
            if failed:
                return failed
    if failed := _run([*_compiler(), "-shared", *map(str, objects), "-o", str(path)], "the linker"):
        return failed
    # The package may be in a folder from which only this process imports.
    packages = os.pathsep.join([str(Path(__file__).parents[4]), os.environ.get("PYTHONPATH", "")])
    settings = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": packages.rstrip(os.pathsep)}
    return _run([*_PROBE, str(path)], "the probe", os.environ | settings)


def _compile(source: Path, compiled: Path) -> _Failure | None:
    headers = f"-I{jax.ffi.include_dir()}"
    command = [*_compiler(), *_FLAGS, headers, "-c", str(source), "-o", str(compiled)]
    return _run(command, "the compiler")


def _compiler() -> tuple[str, ...]:
    return find_compiler() or ()


def _run(
    command: list[str], name: str, environment: dict[str, str] | None = None
) -> _Failure | None:
    """Runs a command that may fail, abort or hang; returns how it failed, None if it did not."""
    try:
        process = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Failure(f"{name} did not end within {_LIMIT} seconds", lasting=False)
    except OSError as error:
        return _Failure(f"{name} did not start: {error}", lasting=False)
    if process.returncode == 0:
        return None
    lines = process.stderr.strip().splitlines() or ["no message"]
    line = next((line for line in lines if "error" in line), lines[-1])
    reason = f"{name} ended with code {process.returncode}: {line[:200]}"
    # A signal may come from a system that is short of memory.
    return _Failure(reason, lasting=process.returncode > 0)

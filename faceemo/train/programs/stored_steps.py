"""Steps on disk: a later process runs the program of a step without tracing it.

JAX stores what XLA compiled (`compile_cache`), but finds it again only after the function was
traced and lowered, which takes seconds for a deep network. The steps of a run are therefore stored
a second time, under a name that is known before they are traced.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pickle
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable

from faceemo import staging
from faceemo.assets.processor import processor_id
from faceemo.models.layers import onednn
from faceemo.models.layers.extension import calls
from faceemo.train import run_log
from faceemo.train.programs import compile_cache

# Turns this off if it is 0.
SWITCH = "FACEEMO_STORED_STEPS"
# Where files are, which changes no program.
_PLACES = ("FACEEMO_CACHE", "JAX_COMPILATION_CACHE_DIR")
# Bytes of all steps together; the least recently used are removed first.
_MAX_BYTES = 2**30
# Steps that are traced and compiled faster than this, in seconds, are not stored.
_MIN_SECONDS = 0.2
_SUFFIX = ".step"


def store(step: Callable[..., Any], *facts: object) -> Callable[..., Any]:
    """Wraps a step so that a later process can run its program without tracing it.

    The program is stored when the step is first called, below `compile_cache.folder`. It is used
    again only if nothing differs that could change it: `facts`, the shapes and types of the
    arguments, the source code of faceemo, the versions of JAX, Flax and Optax, JAX's options, the
    devices, the processor, the extension and the environment variables of these libraries. A
    damaged file is replaced. A step that XLA need not compile, because JAX has stored the same
    program for a run with other facts, is not stored: it is traced at every start, and loaded by
    JAX.

    Args:
        step: A step as `parallel.map_train_step` returns it. Every call must have arguments of the
            same shapes and types.
        facts: All that the step was made from: texts, numbers, arrays, dataclasses, Flax modules,
            and tuples, lists and sets of these.

    Returns:
        A step that gives the same results; `step` itself if `compile_cache.enable` was not called,
        if several processes train together, or if the step may call oneDNN, which no file can
        contain. Nothing is stored if a fact is of another type, such as a function, or has one in
        it.
    """
    folder = compile_cache.folder()
    if (
        folder is None
        or os.environ.get(SWITCH) == "0"
        or jax.process_count() > 1
        or onednn.in_use()
    ):
        return step
    folder = folder / "steps" / processor_id()
    compiled = None

    def call(*args: Any) -> Any:
        nonlocal compiled
        if compiled is None:
            try:
                name = _name(args, facts)
            except TypeError as error:
                _tell(f"a compiled step is not stored: {error}")
                compiled = step
            else:
                compiled = _find_or_compile(step, args, folder / f"{name}{_SUFFIX}")
        return compiled(*args)

    return call


def _find_or_compile(step: Any, args: tuple[Any, ...], path: Path) -> Any:
    """Loads the compiled step from `path`, or compiles it for these arguments and stores it."""
    if path.is_file() and (stored := _load(path)) is not None:
        return stored
    loaded, began = len(_loads()), time.perf_counter()
    compiled = step.lower(*args).compile()
    # XLA does not store again what JAX has loaded: functions would be missing.
    if len(_loads()) == loaded and time.perf_counter() - began >= _MIN_SECONDS:
        content = pickle.dumps(serialize_executable.serialize(compiled))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with staging.locked(path.parent):
                _remove_oldest(path.parent, _MAX_BYTES - len(content))
                with staging.file(path) as partial:
                    partial.write_bytes(hashlib.sha256(content).digest() + content)
        except OSError as error:
            _tell(f"the compiled step is not stored: {path}: {error.strerror}")
    return compiled


def _load(path: Path) -> Any:
    """Loads a compiled step; None if its file is damaged or JAX refuses it."""
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        _tell(f"{path} is damaged: the step is compiled anew")
        return None
    try:
        compiled = serialize_executable.deserialize_and_load(*pickle.loads(content[32:]))
    except jax.errors.JaxRuntimeError as error:
        _tell(f"{path} cannot be loaded ({error}): the step is compiled anew")
        return None
    with contextlib.suppress(OSError):  # a cache that may be read but not written
        path.touch()
    return compiled


@functools.cache
def _loads() -> list[str]:
    """Returns a list to which JAX adds an entry for every program that it loads from disk."""
    events: list[str] = []

    def record(event: str, **_: Any) -> None:
        if event == "/jax/compilation_cache/cache_hits":
            events.append(event)

    jax.monitoring.register_event_listener(record)
    return events


def _remove_oldest(folder: Path, most: int) -> None:
    """Removes the least recently used programs until they have at most `most` bytes together."""
    stored = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in stored)
    for path in stored:
        if total <= most:
            break
        total -= path.stat().st_size
        path.unlink(missing_ok=True)


def _name(args: tuple[Any, ...], facts: tuple[object, ...]) -> str:
    """Digests all that decides which program a step compiles to: 64 hex digits."""
    leaves, structure = jax.tree.flatten(args)
    shapes = [(np.shape(leaf), str(jax.dtypes.result_type(leaf))) for leaf in leaves]
    libraries = [version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")]
    options = {k: v for k, v in jax.config.values.items() if "cache" not in k}
    variables = {k: v for k, v in os.environ.items() if k.startswith(("FACEEMO_", "JAX_", "XLA_"))}
    variables = {k: v for k, v in variables.items() if k not in _PLACES}
    devices = [(device.platform, device.device_kind, device.id) for device in jax.devices()]
    decisive = [
        str(structure),
        shapes,
        libraries,
        sorted(map(repr, options.items())),
        sorted(variables.items()),
        devices,
        calls.in_use(),
        _digest_sources(),
        _describe(facts),
    ]
    return hashlib.sha256(repr(decisive).encode()).hexdigest()


def _describe(fact: Any) -> Any:
    """Returns a value whose `repr` differs where the fact differs, and only there.

    Raises:
        TypeError: If it cannot tell two facts of this type apart, such as two functions.
    """
    if fact is None or isinstance(fact, (bool, int, float, str, np.dtype)):
        return fact
    if isinstance(fact, np.ndarray):
        return fact.shape, str(fact.dtype), hashlib.sha256(fact.tobytes()).hexdigest()
    if isinstance(fact, (tuple, list)):
        return [_describe(one) for one in fact]
    if isinstance(fact, (set, frozenset)):  # whose order differs between processes
        return sorted(map(_describe, fact))
    if dataclasses.is_dataclass(fact) and not isinstance(fact, type):  # as Flax's modules are
        names = [field.name for field in dataclasses.fields(fact) if field.name != "parent"]
        return type(fact).__qualname__, [(name, _describe(getattr(fact, name))) for name in names]
    raise TypeError(f"a {type(fact).__name__} does not say what it computes: {fact!r}")


@functools.cache
def _digest_sources() -> str:
    """Digests the source code of faceemo."""
    root = Path(staging.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _tell(text: str) -> None:
    with run_log.details():
        print(text)

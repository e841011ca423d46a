"""Whether this machine can use oneDNN: found once by a probe, kept in the cache."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax

from faceemo import staging
from faceemo.assets import catalogue
from faceemo.assets.processor import processor_id
from faceemo.models.layers import onednn_probe, switch

SWITCH = "FACEEMO_ONEDNN"
# The interface is private, so that another version may have another.
KNOWN_VERSIONS = frozenset({"0.10.2", "0.12.0.1"})
# Raise it when the probe or the calls change, so that every machine is probed anew.
_PROBE_VERSION = 2
_LIMIT = 240  # seconds; the probe takes 3 to 6 on an idle machine
# What the probe prints about a type that does not work.
_FINDINGS = {"differs": "other values", "lacks": "no instructions for it"}
_PROGRAM = [sys.executable, "-m", onednn_probe.__name__]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What may be used.

    Attributes:
        dtypes: Names of the types of numbers for which oneDNN's results equal XLA's.
        reason: Why the other types are missing; an empty text if none is.
    """

    dtypes: tuple[str, ...]
    reason: str = ""


def find_verdict() -> Verdict:
    """Returns the verdict for this machine, from the cache or from the probe, which takes seconds.

    Raises:
        UserError: If the switch has another value than 0 or 1.
    """
    if (reason := _find_obstacle()) is not None:
        return Verdict((), reason)
    path = verdict_path()
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Verdict(tuple(stored["dtypes"]), stored["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        verdict = _probe()  # none is stored, or it is damaged
    try:
        with staging.file(path) as partial:
            content = json.dumps(dataclasses.asdict(verdict), indent=2)
            partial.write_text(f"{content}\n", encoding="utf-8")
    except OSError as error:
        reason = f"{verdict.reason}; " if verdict.reason else ""
        return Verdict(verdict.dtypes, f"{reason}every start probes again, as {error}")
    return verdict


def verdict_path() -> Path:
    """Returns the file of this machine's verdict; without it, the next start probes again."""
    name = f"{metadata.version('jaxlib')}-{processor_id()}-{_PROBE_VERSION}.json"
    return catalogue.cache_dir() / "onednn" / name


def _find_obstacle() -> str | None:
    """Returns why there is nothing to probe, or None."""
    if reason := switch.find_obstacle(SWITCH, "XLA's convolutions"):
        return reason
    if (machine := (sys.platform, platform.machine())) != ("linux", "x86_64"):
        return f"it was tried on Linux on x86-64 alone, and this is {' on '.join(machine)}"
    if (version := metadata.version("jaxlib")) not in KNOWN_VERSIONS:
        return f"it was tried with jaxlib {', '.join(sorted(KNOWN_VERSIONS))}, not with {version}"
    if jax.config.values["jax_share_binary_between_hosts"]:
        return "jax_share_binary_between_hosts is set, and its programs cannot be shared"
    return None


def _probe() -> Verdict:
    """Runs the probe in a process of its own, which may abort or hang."""
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    # The package may be in a folder from which only this process imports.
    packages = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    environment = inherited | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags.strip(),
        "PYTHONPATH": packages.rstrip(os.pathsep),
    }
    try:
        process = subprocess.run(
            _PROGRAM,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or "", f"did not end within {_LIMIT} seconds"
        output = output.decode(errors="replace") if isinstance(output, bytes) else output
    except OSError as error:
        output, end = "", f"did not start: {error}"
    else:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        output, end = process.stdout, f"ended with code {process.returncode}: {last[:150]}"
    lines = [line.partition(" ") for line in output.splitlines()]
    works = tuple(rest for word, _, rest in lines if word == "works")
    missing = [dtype for dtype in onednn_probe.DTYPES if dtype not in works]
    if not missing:
        return Verdict(works)
    found = [
        f"found {_FINDINGS[word]}: {rest.partition(': ')[2]}"
        for word, _, rest in lines
        if word in _FINDINGS
    ]
    return Verdict(works, f"for {missing[0]} the probe {(found or [end])[0]}")

"""The Dockerfile: its instructions, and its commands run outside a container."""

import fnmatch
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path, PurePath

import pytest

from tests.support.places import REPOSITORY


def parse():
    """Returns the instructions as (name, rest), without comments and continued lines."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (one.partition(" ") for one in joined.splitlines())]


INSTRUCTIONS = parse()
STAGES = [index for index, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM"]
LAST = dict(INSTRUCTIONS[STAGES[-1] :])
KNOWN = {
    *("FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL"),
    "CMD",
}


def variables():
    """Returns those that ENV sets in the last stage."""
    words = [shlex.split(rest) for name, rest in INSTRUCTIONS[STAGES[-1] :] if name == "ENV"]
    return dict(word.split("=", 1) for line in words for word in line)


def test_the_image_is_slim_and_runs_without_rights():
    assert {name for name, _ in INSTRUCTIONS} <= KNOWN
    assert [INSTRUCTIONS[index][1].split()[0] for index in STAGES] == ["python:3.12-slim"] * 2
    order = [name for name, _ in INSTRUCTIONS[STAGES[-1] :]]
    assert LAST["USER"] not in ("root", "0")
    assert order.index("USER") < order.index("CMD")
    assert (
        "RUN",
        f"useradd --system --create-home --home-dir /var/cache/faceemo {LAST['USER']}",
    ) in (INSTRUCTIONS)
    assert LAST["EXPOSE"] == variables()["PORT"]
    # ends the server as Ctrl-C does
    assert signal.Signals[LAST["STOPSIGNAL"]] == signal.SIGINT
    assert LAST["CMD"].startswith("exec "), "the signal would end a shell"


def test_the_image_gets_what_is_installed_and_little_else():
    (install,) = [
        shlex.split(rest) for name, rest in INSTRUCTIONS if name == "RUN" and "pip" in rest
    ]
    assert install == ["pip", "install", "--no-cache-dir", "."]
    assert (REPOSITORY / "setup.py").exists()
    lines = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    ignored = [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    def is_ignored(path):
        parts = [path, *map(str, PurePath(path).parents)]
        return any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in ignored)

    copied = [
        shlex.split(rest)[-2]
        for name, rest in INSTRUCTIONS
        if name == "COPY" and "--from" not in rest and rest != ". ."
    ]
    needed = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "ATTRIBUTION.md", "configs"]
    for path in (*copied, *needed, "faceemo/inference/builtin/model.npz"):
        assert (REPOSITORY / path).exists(), path
        assert not is_ignored(path), path
    assert is_ignored(".git")
    assert is_ignored(".venv")


@pytest.mark.slow
def test_the_commands_start_a_healthy_server_and_end_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = (
        os.environ
        | variables()
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PORT": port,
            "FACEEMO_CACHE": os.environ.get("FACEEMO_CACHE", ""),
        }
    )
    shell = ["/bin/sh", "-c"]
    _, _, check = LAST["HEALTHCHECK"].partition("CMD ")
    options = {"env": environment, "cwd": tmp_path}
    assert subprocess.run([*shell, check], capture_output=True, **options).returncode == 1
    process = subprocess.Popen(
        [*shell, LAST["CMD"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        assert f":{port}/" in process.stdout.readline()
        end = time.monotonic() + 60
        while subprocess.run([*shell, check], capture_output=True, **options).returncode:
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        process.send_signal(signal.Signals[LAST["STOPSIGNAL"]])
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "server stopped" in output

#!/usr/bin/env bash
# Installs what the tests need into .venv, then runs every check: style, types, tests.
# --fast leaves out the tests that are marked slow. All other arguments go to pytest:
#     bash scripts/test.sh tests/train -x
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
options=()
if [ "${1:-}" = --fast ]; then
    shift
    options=(-m "not slow")
fi
install '.[test]'
# It asks for an older Orbax, which it does not use.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps jax2onnx
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright
# Two at a time. The tests of one file share what it prepares; conftest.py puts long files first.
.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder ${options[@]+"${options[@]}"} "$@"

#!/usr/bin/env bash
# Installs what the tests need into .venv, then runs every check: style, types, tests.
# Arguments go to pytest: bash scripts/test.sh tests/train -x
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
install '.[test]'
# It asks for an older Orbax, which it does not use.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps jax2onnx
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright
# Two at a time; the tests of one file share what it prepares.
.venv/bin/python -m pytest -n 2 --dist loadfile "$@"

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
# pip takes a quarter of a minute also where everything is there.
installed=.venv/installed-for-tests
if ! [ "$installed" -nt setup.py ] || ! [ "$installed" -nt pyproject.toml ]; then
    install '.[test]' 3
    touch "$installed"
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
# The type checker takes a minute of one core, part of which the tests leave idle.
types=$(mktemp)
trap 'kill "$checker" 2>/dev/null || true; rm -f "$types"' EXIT
.venv/bin/pyright >"$types" 2>&1 &
checker=$!
# Two at a time. The tests of one file share what it prepares; conftest.py puts long files first.
tested=0
.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder ${options[@]+"${options[@]}"} "$@" || tested=$?
typed=0
wait "$checker" || typed=$?
cat "$types"
exit $((tested ? tested : typed))

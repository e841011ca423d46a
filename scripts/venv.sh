# Sourced by quickstart.sh and test.sh, from the checkout: makes .venv, and defines `install`.
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "expected Python 3.11 or later; found $("$PYTHON" --version 2>&1)." \
        "Fix: set PYTHON to a newer one, as in PYTHON=python3.12 bash $0" >&2
    exit 2
fi
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv

install() { # a requirement such as '.[test]', installed so that edits here take effect
    echo "installing $1 into .venv; the first time takes a few minutes and ${2:-1.5} GB"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$1"
}

"""Runs the command `faceemo` as `python -m faceemo`."""

import sys

from faceemo.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Draws what in a face speaks for the answer; see --help."""

import sys

from faceemo.inference import command

if __name__ == "__main__":
    sys.exit(command.explain())

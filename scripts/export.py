"""Writes a trained network for another program; see --help."""

import sys

from faceemo.inference import command

if __name__ == "__main__":
    sys.exit(command.export())

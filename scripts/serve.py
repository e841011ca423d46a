"""Serves a page and an API about faces in pictures; see --help."""

import sys

from faceemo.inference import command

if __name__ == "__main__":
    sys.exit(command.serve())

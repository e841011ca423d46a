"""Says what the faces in images, videos or a webcam's pictures express; see --help."""

import sys

from faceemo.inference import command

if __name__ == "__main__":
    sys.exit(command.predict())

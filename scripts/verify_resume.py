"""Proves on your own configuration that a killed run ends like one that never stopped.

    python scripts/verify_resume.py --kills 5 --config configs/vgg16.py:7,image_size=48 ...

Trains straight through; then again in another folder, killed by SIGKILL at random points (every
other time inside a save), interrupted once by SIGTERM, and started again each time. Compares what
the two runs have learned, bit for bit. What is not named below goes to `python -m faceemo.main`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from faceemo import errors
from faceemo.experiments import resume_proof


def main() -> None:
    """Reads the arguments, runs the proof, prints the verdict; exit code 1 if it fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=4, help="by SIGKILL (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the points in time")
    parser.add_argument("--every", type=int, default=5, help="steps between checkpoints")
    parser.add_argument("--keep", type=Path, help="keep both runs in this (new or empty) folder")
    arguments, rest = parser.parse_known_args()
    with errors.reported():
        folder = arguments.keep or Path(tempfile.mkdtemp(prefix="faceemo-resume-"))
        command = [*rest, f"--config.checkpoint_every_steps={arguments.every}"]
        try:
            identical = resume_proof.verify(folder, command, arguments.kills, arguments.seed)
        finally:
            if arguments.keep is None:
                shutil.rmtree(folder)
    raise SystemExit(0 if identical else 1)


if __name__ == "__main__":
    main()

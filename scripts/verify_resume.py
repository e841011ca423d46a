"""Checks on your configuration that an interrupted run ends exactly like one without interruption.

    python scripts/verify_resume.py --kills 5 --config configs/vgg16.py:7,image_size=48 ...

Trains straight through; then in a second folder, where the run is killed by SIGKILL at random
points (every other time during a save), interrupted once by SIGTERM, and resumed each time.
Compares the checkpoints and metrics of the two runs bit for bit. All other arguments go to
`python -m faceemo.main`.
"""

import shutil
import tempfile
from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import Parser
from faceemo.experiments import resume_proof


def main() -> None:
    """Runs the check and prints the verdict; the exit code is 1 if the runs differ."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--kills",
        type=int,
        default=4,
        help="number of times that SIGKILL is sent (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random points in time")
    parser.add_argument(
        "--every", type=int, default=5, help="steps between checkpoints (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="new or empty folder in which both runs are kept")
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

"""Damages valid files in ten thousand ways and gives them to faceemo.

    python scripts/fuzz.py --target predictor --inputs 10000 --seed 0
    python scripts/fuzz.py --target zip --replay /tmp/faceemo-fuzz/zip-0.zip

Targets: `predictor`, image files on the way of `faceemo predict`; `zip`, zips on the way of the
preparation; `server`, requests to `faceemo serve`, each on a connection of its own. Each input must
end in an answer or in a UserError (a refusal, of the server), within a second of the processor; the
process that takes them must neither end nor grow. Inputs come from Hypothesis: the same seed and
version of it make the same ones. One that fails is simplified and saved, with the command that
replays it; the exit code is then 1.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fuzzing import referee


def main() -> int:
    """Reads the arguments and runs or replays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", required=True, choices=list(referee.SOURCES))
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="this input alone")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir(), "faceemo-fuzz"),
        metavar="FOLDER",
        help="for inputs that fail (%(default)s)",
    )
    options = parser.parse_args()
    judge = referee.Referee(options.target, options.out)
    if options.replay:
        judge.replay(options.replay)
    else:
        judge.run(options.inputs, options.seed)
    print(judge.report())
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
